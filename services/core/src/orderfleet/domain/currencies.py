"""The currencies, and the decimal places of a price in each.

From list one of ISO 4217 as its maintenance agency published it on 1 January 2026, read by the
package `iso4217`. These lines are less than a package in every image and in the workflows' sandbox.
Without the codes that nobody pays with: funds (BOV, CLF, UYI, ...), precious metals, units of
account, the codes for tests and for no currency.
"""

from decimal import Decimal
from typing import Final

_WITH_CENTS: Final = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY
COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF
IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR
MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG
SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES
WST XCD XCG YER ZAR ZMW ZWG
"""
# Without a minor unit: 1.55 is no price, 1.00 is.
_WHOLE: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
WHOLE: Final = tuple(_WHOLE.split())
WHOLE_PRICE_PATTERN: Final = r"^[0-9]+(\.0{1,2})?$(?!\n)"
# With three decimal places. Money has two places here and in Postgres, and every sum of two places
# is a sum of three.
_IN_THOUSANDTHS: Final = "BHD IQD JOD KWD LYD OMR TND"

CURRENCIES: Final = frozenset((*_WITH_CENTS.split(), *WHOLE, *_IN_THOUSANDTHS.split()))


def is_payable(price: str, currency: str) -> bool:
    """Return whether a price, a decimal string of at most two places, is possible in a currency."""
    return currency not in WHOLE or Decimal(price) % 1 == 0
