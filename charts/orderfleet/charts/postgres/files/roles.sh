# Makes roles and databases by the server's socket, which asks for no password; once more whenever the
# Secret that is mounted has changed. So every password can change, the superuser's too.
trap exit TERM
there=
while true; do
  wanted=$(sha256sum /etc/orderfleet/passwords/*)
  if [ "$wanted" != "$there" ]; then
    # Other pods get the same Secret up to 90 s later. They use a new password first and the one before if
    # that is refused, so the server changes last.
    if [ -n "$there" ]; then
      sleep "$DELAY_SECONDS" & wait $!
      wanted=$(sha256sum /etc/orderfleet/passwords/*)
    fi
    for name in SUPERUSER OWNER FLEET TEMPORAL; do
      # With a newline at its end if it has one there, as a variable of a pod has it too.
      content=$(cat "/etc/orderfleet/passwords/$name" && echo .)
      export "${name}_PASSWORD=${content%.}"
    done
    # The server may still be starting.
    if printf '%s\n' "$ROLES_SQL" | psql -Xq --set ON_ERROR_STOP=1; then
      echo 'roles and databases are made, with the passwords of the Secret'
      there=$wanted
    fi
  fi
  sleep 1
done
