"""The application's side: PEP 3333 environments, threads, and a request's way through both."""
