"""The application below /jobs of a Django project, which serves every other address."""

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import re_path
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from server.cli.entry import application as coatcheck

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="of-a-test")
django.setup()


def teapot(request: HttpRequest) -> HttpResponse:
    """Answer a request that is not for the task server."""
    return HttpResponse("a Django project", status=418)


urlpatterns = [re_path("", teapot)]
application = DispatcherMiddleware(get_wsgi_application(), {"/jobs": coatcheck})
