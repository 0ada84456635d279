"""The WSGI side: PEP 3333 environments, and threads that call the application."""
