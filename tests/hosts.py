"""The WSGI servers that the tests run the application under: how each is started, and which are not on this machine."""

import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness import PROCFILE, ROOT

#: Apache, with the application in a process of its own (mod_wsgi).
_MOD_WSGI = """
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/apache.pid
ErrorLog {folder}/apache.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule wsgi_module /usr/lib/apache2/modules/mod_wsgi.so
{user}
WSGISocketPrefix {public}/wsgi
WSGIDaemonProcess app threads=4 python-path={paths}
WSGIProcessGroup app
WSGIApplicationGroup %{{GLOBAL}}
WSGIPassAuthorization On
WSGIScriptAlias / {public}/app.wsgi
<Directory />
  Require all granted
</Directory>
"""

_PACKAGES = next(path for path in sys.path if path.endswith("site-packages"))


def _gunicorn(worker: str, *options: str) -> Callable[[int, str, Path], str]:
    return lambda port, module, folder: f"gunicorn -k {worker} {' '.join(options)} {module}"


#: The command of each host, from its port, the module that has `application`, and a folder for its files.
COMMANDS: dict[str, Callable[[int, str, Path], str]] = {
    "Gunicorn, our worker": lambda port, module, folder: PROCFILE["web"].strip().removesuffix("wsgi") + module,
    "Gunicorn, sync": _gunicorn("sync", "--threads 1"),
    "Gunicorn, gthread": _gunicorn("gthread"),
    "Gunicorn, gevent": _gunicorn("gevent"),
    "waitress": lambda port, module, folder: f"waitress-serve --listen=127.0.0.1:{port} {module}:application",
    "uWSGI": lambda port, module, folder: (
        f"pyuwsgi --http-socket 127.0.0.1:{port} --module {module} --master --processes 1 --threads 4 --die-on-term"
    ),
    "mod_wsgi": lambda port, module, folder: f"apache2 -DFOREGROUND -f {_apache(port, module, folder)}",
    "flask run": lambda port, module, folder: f"flask --app {module}:application run --port {port}",
    "werkzeug": lambda port, module, folder: _python(
        "from werkzeug.serving import run_simple; "
        f"from {module} import application; run_simple('127.0.0.1', {port}, application)"
    ),
    "wsgiref": lambda port, module, folder: _python(
        "from wsgiref.simple_server import make_server; "
        f"from {module} import application; make_server('127.0.0.1', {port}, application).serve_forever()"
    ),
}


def missing(host: str) -> str:
    """Why a host cannot run on this machine; empty where it can."""
    if host == "mod_wsgi":
        if not shutil.which("apache2") or not Path("/usr/lib/apache2/modules/mod_wsgi.so").exists():
            return "Apache's mod_wsgi is not installed"
        version = subprocess.run(["/usr/bin/python3", "-V"], capture_output=True, text=True, check=False).stdout.strip()
        ours = f"Python {platform.python_version()}"
        return "" if version == ours else f"mod_wsgi is built for {version}, the packages are {ours}'s"
    package = {"waitress": "waitress", "Gunicorn, gevent": "gevent", "uWSGI": "pyuwsgi"}.get(host)
    return f"{package} is not installed" if package and importlib.util.find_spec(package) is None else ""


def command(host: str, port: int, module: str, folder: Path) -> list[str]:
    """The command that serves a module's `application` at this port."""
    return shlex.split(COMMANDS[host](port, module, folder))


def _python(code: str) -> str:
    return f'{sys.executable} -c "{code}"'


def _apache(port: int, module: str, folder: Path) -> Path:
    """Apache's configuration. Its processes have a user of their own where the tests are run by root."""
    public = Path(tempfile.mkdtemp(prefix="mod_wsgi-"))
    public.chmod(0o755)
    (public / "app.wsgi").write_text(f"from {module} import application\n")
    user = "User www-data\nGroup www-data" if os.getuid() == 0 else ""
    paths = f"{_PACKAGES}:{ROOT}:{ROOT / 'tests'}"
    config = folder / "apache.conf"
    config.write_text(_MOD_WSGI.format(port=port, folder=folder, paths=paths, public=public, user=user))
    return config
