"""What real programs do in a place, as a value: the same program in two places is expected to give the same value.

Each function starts its servers on addresses of their own choice (wildcard, loopback, the host's), asks them with the
usual client, and returns what was said, by what was asked.
"""

import re
import shutil
from pathlib import Path

import servers
from transparency import ADDRESS4, ADDRESS6, REMOTE4

EVERYWHERE = ("127.0.0.1", "[::1]", "localhost", ADDRESS4, f"[{ADDRESS6}]")


def bare(address):
    return address.strip("[]")


def curl(place, url, *options):
    status, said = place.say("curl", "-sS", "--max-time", "5", *options, url)
    return [status, re.sub(r" after \d+ ms", "", said)]


def redis(place):
    """On its default addresses, the loopback; a replica that finds it there; and on the wildcards of both families."""
    home = place.home / "redis"
    home.mkdir()
    common = ("--dir", home, "--save", "", "--daemonize", "no")
    place.start("redis", "redis-server", *common)
    place.start("replica", "redis-server", *common, "--port", "6380", "--replicaof", "127.0.0.1", "6379")
    place.start("open", "redis-server", *common, "--port", "6381", "--bind", "*", "-::*", "--protected-mode", "no")
    place.until("redis-cli", "ping")
    cli = lambda where, port, *words: place.say("redis-cli", "-h", bare(where), "-p", port, *words)
    seen = {"set": cli("127.0.0.1", 6379, "set", "greeting", "hello")}
    place.until("redis-cli", "-p", "6381", "ping", seconds=3)
    for where in EVERYWHERE:
        seen[f"get at {where}"] = cli(where, 6379, "get", "greeting")
        said = cli(where, 6381, "client", "info")
        seen[f"client info at {where}"] = re.findall(r"\b(l?addr)=(\S+):\d+", said[1]) if said[0] == 0 else said
    linked = "while ! redis-cli -p 6380 info replication | grep -q master_link_status:up; do sleep 0.1; done"
    seen["replica"] = place.say("timeout", "8", "sh", "-c", linked)
    seen["value of the replica"] = cli("127.0.0.1", 6380, "get", "greeting")
    said = place.say("redis-cli", "info", "replication")
    seen["address of the replica"] = re.findall(r"slave0:ip=([^,]*),port=(\d+)", said[1])
    return seen


def nginx(place):
    """Debian's site on both wildcards; sites on each loopback that say both ends of the connection; a proxy to them."""
    home = place.home / "nginx"
    for part in ("www", "tmp"):
        (home / part).mkdir(parents=True)
    (home / "www" / "index.html").write_text("the site")
    temporary = "".join(f"{kind}_temp_path {home}/tmp/{kind};" for kind in
                        ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    ends = 'return 200 "$remote_addr $server_addr $server_port";'
    (home / "nginx.conf").write_text(f"""
daemon off; worker_processes 2; pid {home}/nginx.pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    include /etc/nginx/mime.types; access_log off; {temporary}
    include {servers.DEBIAN_SITE};
    server {{ listen 127.0.0.1:8001; {ends} }}
    server {{ listen [::1]:8002; {ends} }}
    server {{ listen 8003; listen [::]:8003; {ends} }}
    server {{ listen [::]:8004 ipv6only=off; {ends} }}
    server {{ listen 8005 reuseport; {ends} }}
    server {{ listen 127.0.0.1:8006; location /four {{ proxy_pass http://127.0.0.1:8001/; }}
              location /six {{ proxy_pass http://[::1]:8002/; }} location /name {{ proxy_pass http://localhost:8003/; }} }}
}}
""")
    # The site file serves /var/www/html; a mount namespace of the server's own shows it this directory there.
    Path("/var/www/html").mkdir(parents=True, exist_ok=True)
    script = f"mount --bind {home}/www /var/www/html && exec {servers.NGINX} -c {home}/nginx.conf -e stderr -p {home}"
    server = place.start("nginx", "unshare", "--mount", "sh", "-c", script)
    place.until("curl", "-sS", "--max-time", "1", f"http://{ADDRESS4}/", seconds=5)
    seen = {"runs": server.poll() is None}
    for port in ("80", "8001", "8002", "8003", "8004", "8005"):
        for where in EVERYWHERE:
            seen[f"http://{where}:{port}/"] = curl(place, f"http://{where}:{port}/")
    for path in ("four", "six", "name"):
        seen[f"proxy to {path}"] = curl(place, f"http://127.0.0.1:8006/{path}")
    ends = ("--write-out", " %{http_code} %{local_ip} %{remote_ip}")
    for family in ("-4", "-6"):
        seen[f"curl {family} localhost"] = curl(place, "http://localhost:8003/", family, *ends)
    seen["curl -4 to the own address"] = curl(place, f"http://{ADDRESS4}:8003/", "-4", *ends)
    seen["curl -6 to the own address"] = curl(place, f"http://[{ADDRESS6}]:8003/", "-6", *ends)
    seen["curl --interface 127.0.0.1"] = curl(place, "http://127.0.0.1:8003/", "--interface", "127.0.0.1", *ends)
    seen["curl to nobody"] = curl(place, "http://127.0.0.1:9/", "--write-out", "%{exitcode}", "-o", "/dev/null")[0]
    remote = place.host.start(None, "/usr/bin/python3", "-m", "http.server", "-d", home / "www", "8000", "--bind",
                              REMOTE4, namespace=place.host.remote_namespace)
    place.until("curl", "-sS", "--max-time", "5", f"http://{REMOTE4}:8000/")
    seen["curl to a remote"] = curl(place, f"http://{REMOTE4}:8000/")
    remote.kill()
    return seen


def ping(place):
    """One echo to each address: what it says, without times."""
    seen = {}
    for where in ("127.0.0.1", "::1", ADDRESS4, ADDRESS6, REMOTE4, "198.51.100.1"):
        said = place.say("ping", "-n", "-c", "1", "-W", "2", where)
        seen[where] = [said[0], re.sub(r" time[= ]\S+( ms)?|\nrtt.*|, time \d+ms", "", said[1])]
    seen["to a remote"] = seen[REMOTE4][0]
    return seen


def dns(place):
    """dnsmasq on its wildcards, asked by dig over UDP and TCP on each address."""
    place.start("dnsmasq", "dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null",
                "--user=root", "--pid-file=", f"--host-record=web.shop,{ADDRESS4},{ADDRESS6}")
    ask = lambda where, *more: place.say("dig", "+tries=1", "+time=2", "+short", *more, f"@{bare(where)}", "web.shop")
    place.until("dig", "+tries=1", "+time=1", "+short", f"@{ADDRESS4}", "web.shop", seconds=5)
    seen = {}
    for where in EVERYWHERE:
        for more in ((), ("+tcp",), ("-t", "AAAA")):
            seen[f"{' '.join(more)} @{where}"] = ask(where, *more)
    said = place.say("dig", "+tries=1", "+time=2", "@127.0.0.1", "web.shop")
    seen["server that dig names"] = re.findall(r"SERVER: (\S+)", said[1])
    return seen


def ssh(place):
    """sshd on its wildcards, a login by key on each address, and a forwarded port of the loopback."""
    home = place.home / "ssh"
    home.mkdir(mode=0o700)
    for key in ("host", "user"):
        place.say("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / key)
    (home / "config").write_text(f"""
Port 2222
HostKey {home}/host
AuthorizedKeysFile {home}/user.pub
StrictModes no
UsePAM no
PidFile none
PermitRootLogin prohibit-password
""")
    Path("/run/sshd").mkdir(exist_ok=True)
    place.start("sshd", shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f", home / "config")
    quiet = ("-F", "none", "-i", home / "user", "-p", "2222", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
             "-o", f"UserKnownHostsFile={home}/known", "-o", "ConnectTimeout=5", "-o", "BatchMode=yes")
    place.until("ssh", *quiet, f"root@{ADDRESS4}", "true", seconds=5)
    seen = {}
    for where in EVERYWHERE:
        said = place.say("ssh", *quiet, f"root@{bare(where)}", "echo $SSH_CONNECTION")
        seen[where] = [said[0], re.sub(r" \d+ ", " PORT ", said[1], count=1)]
    place.start("echo", "/usr/bin/python3", "-m", "http.server", "-d", "/var/empty", "8010", "--bind", "127.0.0.1")
    forward = place.start("forward", "ssh", *quiet, "-N", "-L", "8011:127.0.0.1:8010", "-o", "ExitOnForwardFailure=yes",
                          f"root@{ADDRESS4}")
    place.until("curl", "-sS", "--max-time", "2", "-o", "/dev/null", "http://127.0.0.1:8011/", seconds=5)
    seen["forwarded"] = curl(place, "http://127.0.0.1:8011/", "-o", "/dev/null", "-w", "%{http_code} %{remote_ip}")
    seen["forwarding runs"] = forward.poll() is None
    return seen


def caddy(place):
    """A Go program: listens on `:PORT`, administers itself over localhost, and proxies to the loopback."""
    home = place.home / "caddy"
    home.mkdir()
    (home / "Caddyfile").write_text("""
{
    auto_https off
}
http://:8021 {
    respond "{remote_host}"
}
http://:8022 {
    bind 127.0.0.1
    respond "loopback {remote_host}"
}
http://:8023 {
    reverse_proxy 127.0.0.1:8022
}
""")
    place.start("caddy", "caddy", "run", "--config", home / "Caddyfile", "--adapter", "caddyfile")
    place.until("curl", "-sS", "--max-time", "1", f"http://{ADDRESS4}:8021/", seconds=5)
    seen = {}
    for port in ("8021", "8022", "8023"):
        for where in EVERYWHERE:
            seen[f"http://{where}:{port}/"] = curl(place, f"http://{where}:{port}/")
    seen["proxy"] = seen[f"http://{ADDRESS4}:8023/"]
    seen["administers itself"] = place.say("caddy", "reload", "--config", home / "Caddyfile", "--adapter", "caddyfile",
                                           "--force")[0]
    return seen


JAVA = """
import java.net.*; import java.io.*; import java.nio.*; import java.nio.channels.*;
public class Ends {
    static void stream(String at, InetAddress bind, InetAddress to) {
        try (ServerSocket server = new ServerSocket(0, 5, bind)) {
            try (Socket client = new Socket(to, server.getLocalPort()); Socket child = server.accept()) {
                client.getOutputStream().write("hello".getBytes());
                String said = new String(child.getInputStream().readNBytes(5));
                System.out.println(at + ": " + said + " " + server.getInetAddress() + " " + child.getInetAddress() + " "
                    + child.getLocalAddress() + " " + client.getInetAddress() + " " + client.getLocalAddress());
            }
        } catch (IOException problem) { System.out.println(at + ": " + problem); }
    }
    static void datagram(String at, InetAddress to) {
        try (DatagramChannel server = DatagramChannel.open(); DatagramSocket client = new DatagramSocket()) {
            server.bind(new InetSocketAddress(to, 0));
            int port = ((InetSocketAddress) server.getLocalAddress()).getPort();
            client.setSoTimeout(2000);
            client.send(new DatagramPacket(new byte[5], 5, to, port));
            ByteBuffer buffer = ByteBuffer.allocate(10);
            SocketAddress from = server.receive(buffer);
            buffer.flip(); server.send(buffer, from);
            DatagramPacket answer = new DatagramPacket(new byte[10], 10);
            client.receive(answer);
            System.out.println(at + ": " + ((InetSocketAddress) from).getAddress() + " " + answer.getAddress());
        } catch (IOException problem) { System.out.println(at + ": " + problem); }
    }
    public static void main(String[] words) throws Exception {
        for (String word : words) {
            InetAddress to = InetAddress.getByName(word);
            stream("stream on " + word, to, to);
            stream("stream on the wildcard to " + word, null, to);
            datagram("datagram to " + word, to);
        }
        System.out.println(InetAddress.getLoopbackAddress());
    }
}
"""


def java(place):
    """Java's sockets, which are dual-stack IPv6 sockets wherever the host has IPv6."""
    (place.home / "Ends.java").write_text(JAVA)
    said = place.say("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", place.home / "Ends.java", "127.0.0.1", "::1",
                     ADDRESS4, ADDRESS6, timeout=60)
    return {"status": said[0], **dict(line.split(": ", 1) for line in said[1].splitlines() if ": " in line)}
