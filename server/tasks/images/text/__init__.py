"""Text on pictures: `fonts` reads font files, `lettering` draws with them."""
