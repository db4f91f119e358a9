"""A kubelet for tests: runs the containers of pods as processes, and tells the API server the truth.

Each container has a root of its own, a copy of its image, in namespaces of its own for mounts and
processes, with the user, group, read-only root, volumes, environment, probes and grace period that
the pod asks for. All pods share one network and the address 127.0.0.1, so that a service's port must
be its pod's. There are no limits of resources, no network policies, and no seccomp. Wants root.
"""

import base64
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

ADDRESS = "127.0.0.1"
DEVICES = ["null", "zero", "random", "urandom"]


class Api:
    """The API server, as whom a kubeconfig of the control plane is for."""

    def __init__(self, folder):
        config = json.loads((folder / "admin.conf").read_text())
        self.url = config["clusters"][0]["cluster"]["server"]
        self.token = config["users"][0]["user"]["token"]
        self.ca = (folder / "certs" / "apiserver.crt").read_bytes()
        self.trusted = ssl.create_default_context(cafile=folder / "certs" / "apiserver.crt")

    def call(self, method, path, body=None, kind="application/json"):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30, context=self.trusted) as answer:
            return json.load(answer)

    def get(self, path):
        return self.call("GET", path)

    def patch(self, path, body):
        return self.call("PATCH", path, body, "application/strategic-merge-patch+json")


class CannotStart(Exception):
    """What a container needs is not there."""


class Image:
    """The root of a container, and what its configuration says."""

    def __init__(self, root, entrypoint, env=None):
        self.root, self.entrypoint, self.env = pathlib.Path(root), entrypoint, env or {}


class Kubelet(threading.Thread):
    """Runs the pods of one node until it is stopped.

    `doomed(pod)` is asked for each pod that starts: one of which it is true is killed at once, as by
    a node that breaks down.
    """

    def __init__(self, api, folder, images, doomed=lambda pod: False, node="node-1"):
        super().__init__(daemon=True)
        self.api, self.folder, self.images, self.doomed, self.node = api, folder, images, doomed, node
        self.pods, self.ended, self.problems = {}, threading.Event(), []

    def run(self):
        labels = {"kubernetes.io/os": "linux", "kubernetes.io/hostname": self.node}
        self.api.call("POST", "/api/v1/nodes", {"metadata": {"name": self.node, "labels": labels}})
        beat = 0
        while not self.ended.is_set():
            try:
                if time.monotonic() - beat > 10:
                    self.heartbeat()
                    beat = time.monotonic()
                self.look()
            except (OSError, urllib.error.URLError) as error:
                self.problems.append(f"the API server: {error}")
            self.ended.wait(0.2)

    def heartbeat(self):
        there = {"cpu": "64", "memory": "64Gi", "pods": "100"}
        ready = {"type": "Ready", "status": "True", "reason": "Test", "lastHeartbeatTime": now()}
        status = {"capacity": there, "allocatable": there, "conditions": [ready]}
        self.api.patch(f"/api/v1/nodes/{self.node}/status", {"status": status})

    def look(self):
        found = self.api.get(f"/api/v1/pods?fieldSelector=spec.nodeName%3D{self.node}")["items"]
        for pod in found:
            uid = pod["metadata"]["uid"]
            if uid not in self.pods:
                self.pods[uid] = Pod(self, pod)
                self.pods[uid].start()
            if "deletionTimestamp" in pod["metadata"]:
                self.pods[uid].delete(pod["metadata"].get("deletionGracePeriodSeconds", 30))
        there = {pod["metadata"]["uid"] for pod in found}
        # One that was removed without a grace period.
        for uid in self.pods.keys() - there:
            self.pods[uid].delete(0)

    def stop(self):
        """Ends all pods."""
        self.ended.set()
        self.join()
        for pod in self.pods.values():
            pod.delete(5)
        for pod in self.pods.values():
            pod.join()


class Pod(threading.Thread):
    """A pod, from its start to its end."""

    def __init__(self, kubelet, pod):
        super().__init__(daemon=True)
        self.kubelet, self.api, self.pod, self.spec = kubelet, kubelet.api, pod, pod["spec"]
        self.name, self.namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        self.path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        self.folder = kubelet.folder / pod["metadata"]["uid"]
        self.grace, self.started, self.told = None, now(), None
        self.containers = [Container(self, spec) for spec in self.spec["containers"]]

    def delete(self, grace):
        if self.grace is None:
            self.grace = grace

    def run(self):
        try:
            if "initContainers" in self.spec:
                raise CannotStart("this kubelet knows no init containers")
            for container in self.containers:
                container.start()
        except (CannotStart, OSError, subprocess.CalledProcessError) as error:
            self.kubelet.problems.append(f"{self.name}: {error}")
            for container in self.containers:
                container.problem = str(error)
        if self.kubelet.doomed(self.pod):
            self.end(0)
        while self.grace is None:
            for container in self.containers:
                container.look(self.spec.get("restartPolicy", "Always"))
            if self.tell_all() in ("Succeeded", "Failed"):
                break
            time.sleep(0.1)
        self.end(self.grace or 0)
        self.tell_all()
        while self.grace is None and not self.kubelet.ended.is_set():
            time.sleep(0.2)
        self.remove()

    def end(self, grace):
        """SIGTERM, and SIGKILL to those that are still there after the grace period."""
        until = time.monotonic() + grace
        if grace:
            for container in self.containers:
                container.signal(signal.SIGTERM)
        while time.monotonic() < until and any(c.is_running() for c in self.containers):
            time.sleep(0.05)
        for container in self.containers:
            container.signal(signal.SIGKILL)
            container.wait()

    def remove(self):
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.pod["metadata"]["uid"]}}
        try:
            self.api.call("DELETE", self.path, options)
        except urllib.error.HTTPError as error:
            if error.code not in (404, 409):
                raise
        except urllib.error.URLError:
            pass

    def tell_all(self):
        """The pod's status as it is; its phase."""
        statuses = [container.status() for container in self.containers]
        running = any("running" in status["state"] for status in statuses)
        ends = [status["state"]["terminated"]["exitCode"] for status in statuses if "terminated" in status["state"]]
        phase = "Running" if running else "Pending"
        if len(ends) == len(statuses):
            phase = "Failed" if any(ends) else "Succeeded"
        ready = "True" if all(status["ready"] for status in statuses) else "False"
        conditions = [{"type": kind, "status": ready} for kind in ("Ready", "ContainersReady")]
        self.tell({"phase": phase, "conditions": [{"type": "Initialized", "status": "True"}] + conditions}, statuses)
        return phase

    def tell(self, status, containers):
        status |= {"startTime": self.started, "hostIP": ADDRESS, "podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}]}
        status["containerStatuses"] = containers
        if status == self.told:
            return
        try:
            self.api.patch(f"{self.path}/status", {"status": status})
            self.told = status
        except urllib.error.HTTPError as error:
            # It may be gone already.
            if error.code != 404:
                raise

    def object(self, kind, name, optional=False):
        """A ConfigMap or Secret, as its files and values."""
        try:
            found = self.api.get(f"/api/v1/namespaces/{self.namespace}/{kind}s/{name}")
        except urllib.error.HTTPError as error:
            if error.code == 404 and optional:
                return {}
            raise CannotStart(f"{kind} {name}: {error}") from error
        if kind == "secret":
            return {key: base64.b64decode(value) for key, value in found.get("data", {}).items()}
        return {key: value.encode() for key, value in found.get("data", {}).items()}

    def volume(self, name):
        """The folder of a volume, made and filled when it is first asked for."""
        volume = next(volume for volume in self.spec["volumes"] if volume["name"] == name)
        folder = self.folder / "volumes" / name
        if "persistentVolumeClaim" in volume:
            claim = volume["persistentVolumeClaim"]["claimName"]
            claim = self.api.get(f"/api/v1/namespaces/{self.namespace}/persistentvolumeclaims/{claim}")
            bound = self.api.get(f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}")
            folder = pathlib.Path(bound["spec"]["hostPath"]["path"])
        elif not folder.exists():
            folder.mkdir(parents=True)
            self.fill(folder, volume)
        group = self.spec.get("securityContext", {}).get("fsGroup")
        if group is not None and ("emptyDir" in volume or "persistentVolumeClaim" in volume):
            folder.mkdir(parents=True, exist_ok=True)
            os.chown(folder, -1, group)
            folder.chmod(0o2775)
        return folder

    def fill(self, folder, volume):
        if "configMap" in volume:
            wanted = volume["configMap"]
            files = self.object("configmap", wanted["name"], wanted.get("optional", False))
            keys = {item["key"]: item["path"] for item in wanted.get("items", [])} or {key: key for key in files}
            write_linked(folder, {path: files[key] for key, path in keys.items()})
        elif "projected" in volume:
            # Only the account's token has these.
            write_linked(folder, self.account_files())
        elif "emptyDir" not in volume:
            raise CannotStart(f"this kubelet knows no volume like {volume}")

    def account_files(self):
        account = self.spec["serviceAccountName"]
        bound = {"kind": "Pod", "apiVersion": "v1", "name": self.name, "uid": self.pod["metadata"]["uid"]}
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{account}/token"
        made = self.api.call("POST", path, {"spec": {"expirationSeconds": 3607, "boundObjectRef": bound}})
        token = made["status"]["token"].encode()
        return {"token": token, "ca.crt": self.api.ca, "namespace": self.namespace.encode()}

    def field(self, path):
        """A field of the pod, as the downward API gives it."""
        labelled = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
        if labelled:
            return self.pod["metadata"].get(labelled[1], {}).get(labelled[2], "")
        value = self.pod
        for part in path.split("."):
            value = value.get(part, "")
        return value


class Container:
    """A container of a pod."""

    def __init__(self, pod, spec):
        self.pod, self.spec = pod, spec
        self.name = spec["name"]
        self.process, self.restarts, self.finished = None, 0, None
        self.problem = "not started yet"
        self.has_started, self.is_ready, self.asked = False, False, 0
        self.log = pod.kubelet.folder / f"{pod.name}.{self.name}.log"

    def start(self):
        image = self.pod.kubelet.images.get(self.spec["image"])
        if image is None:
            raise CannotStart(f"there is no image {self.spec['image']}")
        root = self.pod.folder / self.name
        shutil.rmtree(root, ignore_errors=True)
        self.pod.folder.mkdir(exist_ok=True)
        subprocess.run(["cp", "-al", image.root, root], check=True)
        context = self.pod.spec.get("securityContext", {}) | self.spec.get("securityContext", {})
        env = self.env(image)
        command = self.spec.get("command", image.entrypoint) + self.spec.get("args", [])
        command = [expand(part, env) for part in command]
        lines = self.mounts(root, context)
        user, group = context.get("runAsUser", 65532), context.get("runAsGroup", context.get("runAsUser", 65532))
        if user == 0:
            raise CannotStart("this kubelet runs nothing as root")
        enter = ["setpriv", "--no-new-privs", "chroot", f"--userspec={user}:{group}"]
        if "fsGroup" in context:
            enter.append(f"--groups={context['fsGroup']}")
        lines.append("exec " + shlex.join(enter + [str(root)] + command))
        wrapper = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", "\n".join(lines)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(wrapper, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        self.started, self.finished = now(), None

    def env(self, image):
        path = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        env = path | image.env | {"HOSTNAME": self.pod.name}
        for source in self.spec.get("envFrom", []):
            for kind in ("secret", "configMap"):
                wanted = source.get(f"{kind}Ref")
                if wanted:
                    found = self.pod.object(kind.lower(), wanted["name"], wanted.get("optional", False))
                    env |= {key: value.decode() for key, value in found.items()}
        for variable in self.spec.get("env", []):
            value = self.value_of(variable, env)
            if value is not None:
                env[variable["name"]] = value
        return env

    def value_of(self, variable, env):
        source = variable.get("valueFrom")
        if source is None:
            return expand(variable.get("value", ""), env)
        if "fieldRef" in source:
            return self.pod.field(source["fieldRef"]["fieldPath"])
        for kind in ("secret", "configMap"):
            wanted = source.get(f"{kind}KeyRef")
            if wanted:
                found = self.pod.object(kind.lower(), wanted["name"], wanted.get("optional", False))
                if wanted["key"] in found:
                    return found[wanted["key"]].decode()
                if wanted.get("optional"):
                    return None
        raise CannotStart(f"the value of {variable['name']} is not there")

    def mounts(self, root, context):
        """What makes the container's file system, as lines of a shell script."""
        for folder in ("proc", "dev", "etc"):
            (root / folder).mkdir(exist_ok=True)
        for file, text in (("hosts", hosts(self.pod)), ("resolv.conf", f"nameserver {ADDRESS}\n")):
            # The image's own, if it has one, is linked to by other roots.
            (root / "etc" / file).unlink(missing_ok=True)
            (root / "etc" / file).write_text(text)
        binds = []
        for mount in self.spec.get("volumeMounts", []):
            source, target = self.pod.volume(mount["name"]), root / mount["mountPath"].lstrip("/")
            if "subPath" in mount:
                source = source / mount["subPath"]
            target.mkdir(parents=True, exist_ok=True)
            binds.append((source, target, mount.get("readOnly", False)))
        q = lambda path: shlex.quote(str(path))
        lines = [f"mount --bind {q(root)} {q(root)}"]
        if context.get("readOnlyRootFilesystem"):
            lines.append(f"mount -o remount,bind,ro {q(root)}")
        lines += [f"mount -t proc proc {q(root / 'proc')}", f"mount -t tmpfs tmpfs {q(root / 'dev')}"]
        for device in DEVICES:
            at = q(root / "dev" / device)
            lines += [f": > {at}", f"mount --bind /dev/{device} {at}"]
        for source, target, read_only in binds:
            lines.append(f"mount --bind {q(source)} {q(target)}")
            if read_only:
                lines.append(f"mount -o remount,bind,ro {q(target)}")
        return lines

    def look(self, restart_policy):
        """Sees whether it has ended, is started anew, or is ready."""
        if self.process is None:
            return
        if not self.is_running():
            if self.finished is None:
                self.finished = now()
                self.has_started = self.is_ready = False
            if restart_policy == "Always" or restart_policy == "OnFailure" and self.code():
                self.restarts += 1
                self.pod.kubelet.problems.append(f"{self.pod.name}: {self.name} ended with {self.code()} and is started anew")
                time.sleep(1)
                self.start()
            return
        which = "readinessProbe" if self.has_started else "startupProbe"
        probe = self.spec.get(which)
        if probe and time.monotonic() - self.asked < probe.get("periodSeconds", 10) and not self.is_due(probe):
            return
        self.asked = time.monotonic()
        answers = probe is None or ask(probe, self.spec)
        if not self.has_started:
            self.has_started = answers
        else:
            self.is_ready = answers
            liveness = self.spec.get("livenessProbe")
            if liveness and not ask(liveness, self.spec):
                self.pod.kubelet.problems.append(f"{self.pod.name}: {self.name} does not answer its liveness probe")

    def is_due(self, probe):
        # Readiness is looked at more often until it is there, so that a test need not wait.
        return not self.is_ready and time.monotonic() - self.asked > 0.5

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        """Sends a signal to the container's first process, the child of the one that made its root."""
        if not self.is_running():
            return
        pid = self.process.pid
        try:
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            os.kill(int(children[0]) if children else pid, number)
        except (OSError, IndexError):
            pass

    def wait(self):
        if self.process is not None:
            self.process.wait()
            self.finished = self.finished or now()

    def code(self):
        code = self.process.returncode
        return code if code >= 0 else 128 - code

    def status(self):
        if self.process is None:
            state = {"waiting": {"reason": "CreateContainerConfigError", "message": self.problem}}
        elif self.is_running():
            state = {"running": {"startedAt": self.started}}
        else:
            state = {"terminated": {"exitCode": self.code(), "reason": "Error" if self.code() else "Completed",
                                    "startedAt": self.started, "finishedAt": self.finished or now()}}
            self.finished = state["terminated"]["finishedAt"]
        running = "running" in state
        return {"name": self.name, "image": self.spec["image"], "imageID": "", "restartCount": self.restarts,
                "started": running and self.has_started, "ready": running and self.is_ready, "state": state}


def ask(probe, container):
    """Whether a probe succeeds."""
    handler = probe.get("httpGet") or probe.get("tcpSocket")
    port = handler["port"]
    if isinstance(port, str):
        port = next(p["containerPort"] for p in container["ports"] if p.get("name") == port)
    try:
        if "tcpSocket" in probe:
            socket.create_connection((ADDRESS, port), timeout=probe.get("timeoutSeconds", 1)).close()
            return True
        url = f"http://{ADDRESS}:{port}{handler.get('path', '/')}"
        with urllib.request.urlopen(url, timeout=probe.get("timeoutSeconds", 1)) as answer:
            return answer.status < 400
    except OSError:
        return False


def hosts(pod):
    """The names of the namespace's services, which have no other address here."""
    lines = [f"{ADDRESS} localhost {pod.name}"]
    for service in pod.api.get(f"/api/v1/namespaces/{pod.namespace}/services")["items"]:
        name = service["metadata"]["name"]
        for port in service["spec"]["ports"]:
            target = port["targetPort"]
            if isinstance(target, int) and target != port["port"]:
                raise CannotStart(f"service {name}: this kubelet can't lead port {port['port']} to {target}")
        full = f"{name}.{pod.namespace}.svc"
        lines.append(f"{ADDRESS} {name} {full} {full}.cluster.local")
    return "\n".join(lines) + "\n"


def write_linked(folder, files):
    """Writes files as a kubelet does: links to a folder that could be exchanged as a whole."""
    data = folder / "..data-1"
    data.mkdir()
    (folder / "..data").symlink_to(data.name)
    for name, content in files.items():
        (data / name).write_bytes(content)
        (folder / name).symlink_to(f"..data/{name}")


def expand(text, env):
    """Replaces $(NAME) by the variable's value, as Kubernetes does: $$ is $, and unknown names stay."""
    known = lambda found: "$" if found[0] == "$$" else env.get(found[1], found[0])
    return re.sub(r"\$\$|\$\(([^)]*)\)", known, text)


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
