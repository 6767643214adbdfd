"""A Kubernetes control plane on loopback: etcd and the API server, with an authority of its own.

With workloads: controller manager, scheduler, and kwok with three nodes, so that pods are scheduled
and become Ready, though nothing runs. `build/lib/kube-tools` makes the programs.

By hand: python3 test/deploy/kube/cluster.py start DIRECTORY [--workloads], then
KUBECONFIG=DIRECTORY/kubeconfig kubectl .., then python3 test/deploy/kube/cluster.py stop DIRECTORY.
"""

import argparse
import json
import os
import random
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
TOOLS = ROOT / "out" / "tools"
KUBE = TOOLS / "kube"
CRDS = KUBE / "crds"
SCHEMAS = KUBE / "schemas"
PARTS = ("kwok", "scheduler", "controller-manager", "apiserver", "etcd")
_pause = threading.Event()

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: test
clusters:
- {{name: test, cluster: {{server: "{server}", certificate-authority: "{directory}/ca.crt"}}}}
users:
- {{name: admin, user: {{token: "{token}"}}}}
contexts:
- {{name: test, context: {{cluster: test, user: admin}}}}
"""


def tool(name):
    """A program that build/lib/deploy-tools put in out/tools/bin, or else the machine's own."""
    found = shutil.which(name, path=str(TOOLS / "bin")) or shutil.which(name)
    assert found, f"{name} is missing: run build/lib/deploy-tools"
    return found


def free_ports(count):
    """Free ports below the ephemeral range; all held until all are found."""
    held, ports = [], []
    while len(ports) < count:
        probe = socket.socket()
        port = random.randrange(20000, 32000)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            probe.close()
            continue
        held.append(probe)
        ports.append(port)
    for probe in held:
        probe.close()
    return ports


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Cluster:
    def __init__(self, directory):
        self.directory = Path(directory).resolve()
        self.kubeconfig = self.directory / "kubeconfig"
        self.processes = {}
        self.server = self.token = None

    def path(self, name):
        return str(self.directory / name)

    # starting

    def start(self, workloads=False):
        assert not list(self.directory.glob("*.pid")), f"{self.directory}: a cluster was left there"
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True, mode=0o700)
        self._make_keys()
        self._start_etcd()
        self._start_apiserver()
        if workloads:
            self._start_workloads()
        return self

    def _make_keys(self):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                "-subj", "/CN=test-ca", "-keyout", self.path("ca.key"),
                "-out", self.path("ca.crt"))  # fmt: skip
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=kube-apiserver",
                "-keyout", self.path("api.key"), "-out", self.path("api.csr"))  # fmt: skip
        extensions = self.directory / "api.ext"
        extensions.write_text(
            "subjectAltName=IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes.default.svc\n"
        )
        openssl("x509", "-req", "-in", self.path("api.csr"), "-CA", self.path("ca.crt"),
                "-CAkey", self.path("ca.key"), "-CAcreateserial", "-days", "2",
                "-extfile", str(extensions), "-out", self.path("api.crt"))  # fmt: skip
        openssl("genrsa", "-out", self.path("sa.key"), "2048")
        openssl("rsa", "-in", self.path("sa.key"), "-pubout", "-out", self.path("sa.pub"))

    def _spawn(self, part, *command):
        with open(self.path(part + ".log"), "wb") as log:
            process = subprocess.Popen(
                command,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes[part] = process
        (self.directory / (part + ".pid")).write_text(f"{process.pid}\n")

    def _wait(self, part, condition, limit):
        end = time.monotonic() + limit
        while not condition():
            ended = self.processes[part].poll() is not None
            if ended or time.monotonic() > end:
                log = Path(self.path(part + ".log")).read_text(errors="replace")
                what = "ended" if ended else f"was not ready within {limit} s"
                raise AssertionError(f"{part} {what}:\n{log[-3000:]}")
            _pause.wait(0.1)

    def _start_etcd(self):
        client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
        self._spawn(
            "etcd", str(KUBE / "bin" / "etcd"), "--name=test", "--data-dir=" + self.path("etcd"),
            "--unsafe-no-fsync", "--log-level=warn", "--listen-client-urls=" + client,
            "--advertise-client-urls=" + client, "--listen-peer-urls=" + peer,
            "--initial-advertise-peer-urls=" + peer, "--initial-cluster=test=" + peer,
        )  # fmt: skip
        self.etcd = client

        def healthy():
            try:
                with urllib.request.urlopen(client + "/health", timeout=2) as answer:
                    return json.load(answer)["health"] == "true"
            except (OSError, ValueError):
                return False

        self._wait("etcd", healthy, 30)

    def _start_apiserver(self):
        (port,) = free_ports(1)
        server, token = f"https://127.0.0.1:{port}", secrets.token_hex(24)
        self.server, self.token = server, token
        for name, text in (
            ("tokens.csv", f"{token},admin,admin,system:masters\n"),
            ("kubeconfig", KUBECONFIG.format(server=server, directory=self.directory, token=token)),
        ):
            (self.directory / name).touch(mode=0o600)
            (self.directory / name).write_text(text)
        self._spawn(
            "apiserver", str(KUBE / "bin" / "kube-apiserver"), "--etcd-servers=" + self.etcd,
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={port}",
            "--endpoint-reconciler-type=none", "--tls-cert-file=" + self.path("api.crt"),
            "--tls-private-key-file=" + self.path("api.key"),
            "--client-ca-file=" + self.path("ca.crt"),
            "--token-auth-file=" + self.path("tokens.csv"), "--authorization-mode=RBAC",
            "--allow-privileged=false", "--service-account-issuer=" + server,
            "--service-account-key-file=" + self.path("sa.pub"),
            "--service-account-signing-key-file=" + self.path("sa.key"),
            "--service-cluster-ip-range=10.96.0.0/16",
            "--enable-admission-plugins=NodeRestriction,PodSecurity",
        )  # fmt: skip
        self._wait("apiserver", lambda: self.run("get", "--raw=/readyz").returncode == 0, 90)

    def _start_workloads(self):
        binaries, config = KUBE / "bin", "--kubeconfig=" + str(self.kubeconfig)
        self._spawn(
            "controller-manager", str(binaries / "kube-controller-manager"), config,
            "--leader-elect=false", "--secure-port=0", "--root-ca-file=" + self.path("ca.crt"),
            "--service-account-private-key-file=" + self.path("sa.key"),
            "--horizontal-pod-autoscaler-sync-period=2s",
        )  # fmt: skip
        self._spawn(
            "scheduler", str(binaries / "kube-scheduler"), config,
            "--leader-elect=false", "--secure-port=0",
        )  # fmt: skip
        self._spawn(
            "kwok", str(binaries / "kwok"), config, "--manage-all-nodes=true",
            "--node-lease-duration-seconds=40", "--config=" + str(HERE / "stages.yaml"),
        )  # fmt: skip
        account = ("-n", "default", "get", "serviceaccount", "default")
        self._wait("controller-manager", lambda: self.run(*account).returncode == 0, 60)
        self.kubectl("create", "-f", str(HERE / "nodes.yaml"))
        self.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=60s")

    def install_definitions(self):
        """The custom resource definitions of build/lib/kube-tools, until the server serves them."""
        files = sorted(CRDS.glob("*.yaml"))
        assert files, f"{CRDS} is empty: run build/lib/kube-tools"
        for file in files:  # too large for the annotation of a client-side apply
            self.kubectl("apply", "--server-side", "-f", str(file))
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")

    # using

    def environment(self):
        """No setting of the caller reaches a client: no context, no plugin, no cache."""
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "KUBECONFIG": str(self.kubeconfig),
            "NO_PROXY": "127.0.0.1",
        }

    def run(self, *arguments, stdin=None, program="kubectl", limit=180):
        return subprocess.run(
            [tool(program), *map(str, arguments)],
            env=self.environment(),
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )

    def kubectl(self, *arguments, stdin=None):
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(map(str, arguments))}: {done.stderr}"
        return done.stdout

    def get(self, *arguments):
        """What kubectl get answers, as an object."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def request(self, method, path, body=None, content_type="application/json"):
        """Asks the API server itself: status, answer, and the texts of its warnings."""
        request = urllib.request.Request(
            self.server + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Bearer " + self.token, "Content-Type": content_type},
            method=method,
        )
        trust = ssl.create_default_context(cafile=self.path("ca.crt"))
        own = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )
        try:
            with own.open(request, timeout=60) as answer:
                return answer.status, json.load(answer), answer.headers.get_all("Warning") or []
        except urllib.error.HTTPError as refused:
            with refused:
                text = refused.read().decode(errors="replace")
            try:
                return refused.code, json.loads(text), []
            except ValueError:
                return refused.code, {"message": text}, []

    # stopping

    def stop(self):
        """In the order clients before servers. Returns the parts that had died on their own."""
        died = []
        for part in PARTS:
            file = self.directory / (part + ".pid")
            if not file.exists():
                continue
            if not self._end(part, int(file.read_text())):
                died.append(part)
            file.unlink()
        return died

    def _end(self, part, pid):
        process = self.processes.get(part)
        if process is not None and process.poll() is not None:
            return False
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return False
        end = time.monotonic() + 20
        while self._alive(process, pid):
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
                end += 20
            _pause.wait(0.1)
        return True

    @staticmethod
    def _alive(process, pid):
        if process is not None:
            return process.poll() is None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True


def main():
    parser = argparse.ArgumentParser(description="a Kubernetes control plane on loopback")
    parser.add_argument("verb", choices=("start", "stop"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("--workloads", action="store_true")
    wanted = parser.parse_args()
    cluster = Cluster(wanted.directory)
    if wanted.verb == "stop":
        died = cluster.stop()
        return f"died earlier: {' '.join(died)}" if died else 0
    try:
        cluster.start(wanted.workloads)
        cluster.install_definitions()
    except BaseException:
        cluster.stop()
        raise
    print(f"export KUBECONFIG={cluster.kubeconfig}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
