"""HTTP/1.1 without a network: bytes in, requests out; answers in, bytes out."""
