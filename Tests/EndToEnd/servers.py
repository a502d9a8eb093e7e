"""Real servers from Debian's packages, each started inside an application's cgroup with files of its own.

With `launch`, a command that starts another one, the server is started by that, from outside every application.
"""

import shlex
import shutil
from pathlib import Path

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
DEBIAN_SITE = Path("/etc/nginx/sites-available/default")


def nginx(host, application, body, launch=()):
    """nginx with Debian's unmodified site file (0.0.0.0:80 and [::]:80); only paths that it writes to are its own."""
    home = host.directory / f"nginx-{application}"
    for part in ("www", "tmp", "log"):
        (home / part).mkdir(parents=True, exist_ok=True)
    # The site file serves /var/www/html; a mount namespace of the server's own shows it this directory there.
    (home / "www" / "index.html").write_text(body)
    (home / "nginx.conf").write_text(f"""
daemon off;
worker_processes 1;
pid {home}/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
    include /etc/nginx/mime.types;
    access_log off;
    client_body_temp_path {home}/tmp/body;
    proxy_temp_path {home}/tmp/proxy;
    fastcgi_temp_path {home}/tmp/fastcgi;
    uwsgi_temp_path {home}/tmp/uwsgi;
    scgi_temp_path {home}/tmp/scgi;
    include {DEBIAN_SITE};
}}
""")
    Path("/var/www/html").mkdir(parents=True, exist_ok=True)
    script = f"mount --bind {home}/www /var/www/html && exec {shlex.join(launch)} {NGINX} -c {home}/nginx.conf -e stderr -p {home}"
    return host.start(None if launch else application, "unshare", "--mount", "sh", "-c", script)


def redis(host, application, *options, launch=()):
    """redis-server on its default wildcard and port."""
    home = host.directory / f"redis-{application}"
    home.mkdir(parents=True, exist_ok=True)
    return host.start(None if launch else application, *launch, "redis-server", "--dir", home, "--save", "", "--protected-mode", "no",
                      "--bind", "0.0.0.0", *options)
