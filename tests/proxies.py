"""Reverse proxies that serve the application below /jobs: their configuration, and which are not on this machine."""

import os
import shutil
from pathlib import Path

_NGINX = """
daemon off;
master_process off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location /jobs/ {{
      proxy_pass http://127.0.0.1:{behind}{path};
      proxy_buffering off;
      {fields}
    }}
    location / {{ return 418; }}
  }}
}}
"""

_APACHE = """
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/apache.pid
ErrorLog {folder}/apache.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
{user}
DefaultRuntimeDir {folder}
AllowEncodedSlashes NoDecode
ProxyPass /jobs/ http://127.0.0.1:{behind}{path} nocanon
{fields}
<Directory />
  Require all granted
</Directory>
"""

#: The fields that each proxy adds to a request: none (the server has a PUBLIC_URL), or those of the client's address,
#: with the `Host` passed on or not.
_FIELDS = {
    ("nginx", ""): "",
    ("nginx", "host"): "proxy_set_header Host $http_host;"
    " proxy_set_header X-Forwarded-Prefix /jobs; proxy_set_header X-Forwarded-Proto $scheme;",
    ("nginx", "no host"): "proxy_set_header X-Forwarded-Host $http_host;"
    " proxy_set_header X-Forwarded-Prefix /jobs; proxy_set_header X-Forwarded-Proto $scheme;",
    ("apache", ""): "ProxyAddHeaders Off",
    ("apache", "host"): "ProxyPreserveHost On\nRequestHeader set X-Forwarded-Prefix /jobs"
    "\nRequestHeader set X-Forwarded-Proto http",
    # Apache adds X-Forwarded-Host itself.
    ("apache", "no host"): "RequestHeader set X-Forwarded-Prefix /jobs\nRequestHeader set X-Forwarded-Proto http",
}


def missing(proxy: str) -> str:
    """Why a proxy cannot run on this machine; empty where it can."""
    binary = {"nginx": "nginx", "apache": "apache2"}[proxy]
    return "" if shutil.which(binary) else f"{binary} is not installed"


def command(proxy: str, reported: str, port: int, server_port: int, folder: Path, *, strips: bool) -> list[str]:
    """The command that serves /jobs at a port from the server behind; it `strips` the prefix or passes it on."""
    user = {"nginx": "user root;", "apache": "User www-data\nGroup www-data"}[proxy] if os.getuid() == 0 else ""
    where = {"port": port, "behind": server_port, "folder": folder, "path": "/" if strips else "/jobs/"}
    config = folder / f"{proxy}.conf"
    text = {"nginx": _NGINX, "apache": _APACHE}[proxy].format(user=user, fields=_FIELDS[proxy, reported], **where)
    config.write_text(text)
    if proxy == "nginx":
        return ["nginx", "-p", str(folder), "-c", str(config)]
    return ["apache2", "-DFOREGROUND", "-f", str(config)]
