"""Place orders at a fixed rate, and measure."""
