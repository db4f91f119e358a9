#!/usr/bin/env python3
"""Tries deploy/k8s on a real Kubernetes control plane, with pods as processes (kubelet.py).

Every kustomization is built and applied under Pod Security `restricted`. The demo becomes ready; Job,
CronJob and Indexed Jobs run against it with the given binary, or with the root of a built image; what
they leave behind is looked at. Wants root, and a kernel with namespaces.

    LOADGEN_REAL_APISERVER=… .ci/kubernetes.py --loadgen target/debug/loadgen

LOADGEN_REAL_APISERVER is the program that .ci/control-plane builds.
"""

import argparse
import collections
import fcntl
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from kubelet import Api, Image, Kubelet  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent.parent
MANIFESTS = HERE / "deploy" / "k8s"
NAMESPACE = "loadgen"
K6_IMAGE = "grafana/k6:1.1.0"
SCALE = 0.08
# No machine is so busy that something takes longer.
LONG = 180


class Wrong(Exception):
    """Something is not as it should be."""


def say(text):
    print(f"{time.monotonic() - BEGAN:6.1f} s  {text}", flush=True)


def wait_for(what, holds, seconds=LONG):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = holds()
        if found:
            return found
        time.sleep(0.2)
    raise Wrong(f"{what}: not within {seconds} s")


class Cluster:
    """The control plane, a node, and what is in the cluster."""

    def __init__(self, program, folder, images):
        self.program, self.folder = program, folder
        place = folder / "control-plane"
        place.mkdir()
        with (folder / "control-plane.log").open("wb") as log:
            self.process = subprocess.Popen([program, place, "controllers"], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log)
        if self.process.stdout.readline().strip() != b"ready":
            raise Wrong(f"the control plane does not start, see {folder}/control-plane.log")
        self.admin = place / "admin.conf"
        self.doomed = set()
        self.kubelet = Kubelet(Api(place), folder / "pods", images, self.dooms)
        self.kubelet.folder.mkdir()

    def dooms(self, pod):
        """Whether a pod is killed as it starts: the first one of an index that is named."""
        labels = pod["metadata"].get("labels", {})
        one = (labels.get("job-name"), labels.get("batch.kubernetes.io/job-completion-index"))
        if one in self.doomed:
            self.doomed.remove(one)
            return True
        return False

    def stop(self):
        if self.kubelet.is_alive():
            self.kubelet.stop()
        self.process.stdin.close()
        self.process.wait()

    def kubectl(self, *arguments, text=None, check=True):
        command = [self.program, "kubectl", f"--kubeconfig={self.admin}", *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise Wrong(f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done if not check else done.stdout

    def get(self, *arguments):
        return json.loads(self.kubectl("-n", NAMESPACE, "get", *arguments, "-o", "json"))

    def apply(self, kustomization):
        """Applies a kustomization; what the server made of it. A warning is an error."""
        built = self.kubectl("kustomize", kustomization)
        command = [self.program, "kubectl", f"--kubeconfig={self.admin}", "apply", "-f", "-", "-o", "json"]
        done = subprocess.run(command, input=built, capture_output=True, text=True)
        if done.returncode != 0 or done.stderr:
            raise Wrong(f"{kustomization}: {done.stderr.strip()}")
        found = json.loads(done.stdout)
        return found["items"] if found["kind"] == "List" else [found]

    def overlay(self, name, base, patches=(), **more):
        """A kustomization on one of ours. JSON is YAML as well."""
        folder = self.folder / "overlays" / name
        folder.mkdir(parents=True)
        text = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
                "namespace": NAMESPACE, "resources": [relative(base, folder)], "patches": list(patches)} | more
        (folder / "kustomization.yaml").write_text(json.dumps(text))
        return folder

    def finished(self, job, seconds=LONG):
        """Waits for the end of a job: the type of the condition, and its reason."""
        def ended():
            conditions = self.get("job", job).get("status", {}).get("conditions", [])
            ends = [c for c in conditions if c["type"] in ("Complete", "Failed") and c["status"] == "True"]
            return ends and (ends[0]["type"], ends[0].get("reason"))
        return wait_for(f"the end of job {job}", ended, seconds)

    def complete(self, job, seconds=LONG):
        """Waits until a job is complete."""
        end = self.finished(job, seconds)
        if end[0] != "Complete":
            raise Wrong(f"job {job}: {end}\n{self.logs(job)}")

    def pods(self, job):
        return self.get("pods", "-l", f"job-name={job}")["items"]

    def logs(self, job):
        files = sorted(self.kubelet.folder.glob(f"{job}-*.log"))
        return "\n".join(f"--- {file.name}\n{tail(file)}" for file in files)


def tail(file):
    return "\n".join(file.read_text(errors="replace").splitlines()[-15:])


def relative(path, folder):
    return os.path.relpath(path, folder)


def add_arguments(kind, name, arguments):
    """A patch that adds to a container's command line."""
    at = "/spec/jobTemplate/spec/template" if kind == "CronJob" else "/spec/template"
    steps = [{"op": "add", "path": f"{at}/spec/containers/0/args/-", "value": value} for value in arguments]
    return {"target": {"kind": kind, "name": name}, "patch": json.dumps(steps)}


# Images.

def copy_program(program, root, target):
    """Puts a program into a root, with the libraries that it is linked to."""
    place = root / target.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(program, place)
    linked = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    for library in re.findall(r"(/\S+)", linked):
        copy = root / library.lstrip("/")
        if not copy.exists() and pathlib.Path(library).exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(library, copy)


def images_of(arguments, folder):
    """The roots of the images: of the built one, or one that holds the given binary and nothing else."""
    # Containers get copies of it by links, which must stay on one file system.
    root = folder / "images" / "loadgen"
    if arguments.image_root:
        shutil.copytree(arguments.image_root, root, symlinks=True)
    else:
        copy_program(arguments.loadgen, root, "/loadgen")
        # As deploy/image/Dockerfile does: no client of HTTP can be set up without.
        certificates = "etc/ssl/certs/ca-certificates.crt"
        (root / certificates).parent.mkdir(parents=True)
        shutil.copy2(f"/{certificates}", root / certificates)
    images = {"loadgen": Image(root, ["/loadgen"])}
    k6 = find_k6(arguments)
    if k6:
        root = folder / "images" / "k6"
        copy_program(k6, root, "/usr/bin/k6")
        for tool in ("sh", "mkdir", "date", "head", "od", "tr", "ln"):
            copy_program(shutil.which(tool), root, f"/bin/{tool}")
        images[K6_IMAGE] = Image(root, ["k6"])
    return images


def find_k6(arguments):
    named = arguments.k6 or os.environ.get("K6_BIN") or shutil.which("k6")
    if named:
        return named
    # Where the tests have put it.
    beside = pathlib.Path(arguments.loadgen).resolve().parent.parent
    return next(beside.glob("tmp/tools/k6-*/bin/k6"), None)


# The manifests.

def check_references(cluster, objects):
    """Whether each image, volume, key, port, path and label that is named exists."""
    objects = [o for o in objects if o["kind"] != "Namespace"]
    named = collections.defaultdict(dict)
    for kind in ("configmap", "secret", "persistentvolumeclaim", "serviceaccount", "service", "role"):
        for found in cluster.get(kind)["items"]:
            named[kind][found["metadata"]["name"]] = found
    templates = [(o, template_of(o)) for o in objects if template_of(o)]
    problems = []
    for owner, template in templates:
        where = f"{owner['kind']} {owner['metadata']['name']}"
        problems += [f"{where}: {problem}" for problem in check_pod(template["spec"], named)]
    labels = [template["metadata"]["labels"] for _, template in templates]
    for one in objects:
        if one["kind"] == "NetworkPolicy" and templates:
            wanted = one["spec"]["podSelector"].get("matchLabels", {})
            one["selected"] = any(wanted.items() <= given.items() for given in labels)
        if one["kind"] == "Service":
            problems += check_service(one, [t for _, t in templates])
        if one["kind"] == "RoleBinding":
            problems += [f"no account {s['name']}" for s in one["subjects"] if s["name"] not in named["serviceaccount"]]
            if one["roleRef"]["name"] not in named["role"]:
                problems.append(f"no role {one['roleRef']['name']}")
    for found in named["configmap"].values():
        for text in found.get("data", {}).values():
            problems += check_addresses(text, named) if len(text) < 20000 else []
    if problems:
        raise Wrong("\n".join(sorted(set(problems))))


def template_of(one):
    if one["kind"] == "CronJob":
        return one["spec"]["jobTemplate"]["spec"]["template"]
    return one["spec"].get("template") if one["kind"] in ("Job", "Deployment") else None


def check_pod(spec, named):
    if spec.get("serviceAccountName") not in named["serviceaccount"]:
        yield f"no account {spec.get('serviceAccountName')}"
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    mounted = {mount["name"] for container in spec["containers"] for mount in container.get("volumeMounts", [])}
    if mounted != set(volumes):
        yield f"volumes {sorted(volumes)}, mounted {sorted(mounted)}"
    for volume in volumes.values():
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim and claim not in named["persistentvolumeclaim"]:
            yield f"no claim {claim}"
        config = volume.get("configMap", {}).get("name")
        if config and config not in named["configmap"]:
            yield f"no ConfigMap {config}"
    for container in spec["containers"]:
        yield from check_container(container, volumes, named)


def check_container(container, volumes, named):
    if container["image"] not in ("loadgen", K6_IMAGE):
        yield f"no image {container['image']}"
    for variable in container.get("env", []):
        source = variable.get("valueFrom", {})
        for kind in ("secret", "configmap"):
            wanted = source.get({"secret": "secretKeyRef", "configmap": "configMapKeyRef"}[kind])
            if wanted and wanted["key"] not in named[kind].get(wanted["name"], {}).get("data", {}):
                yield f"no key {wanted['key']} in {kind} {wanted['name']}"
        yield from check_addresses(variable.get("value", ""), named)
    ports = {port.get("name"): port["containerPort"] for port in container.get("ports", [])}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        handler = container.get(probe, {})
        port = (handler.get("httpGet") or handler.get("tcpSocket") or {}).get("port")
        if port is not None and port not in ports and port not in ports.values():
            yield f"{probe}: no port {port}"
    text = "\n".join(container.get("args", []))
    yield from check_addresses(text, named)
    for port in set(ports.values()):
        if not re.search(rf":{port}\b", text):
            yield f"port {port} is not in the command line"
    mounts = {mount["mountPath"]: volumes.get(mount["name"], {}) for mount in container.get("volumeMounts", [])}
    for path in re.findall(r"(?:^|[=\s\"])(/[a-z][^\s\"]*)", text):
        mount = next((mount for mount in mounts if path == mount or path.startswith(mount + "/")), None)
        if mount is None and not path.startswith("/dev/"):
            yield f"nothing is mounted for {path}"
        elif "configMap" in mounts.get(mount, {}):
            key, config = path[len(mount) + 1:], mounts[mount]["configMap"]["name"]
            if key not in named["configmap"].get(config, {}).get("data", {}):
                yield f"no key {key} in ConfigMap {config}"


def check_addresses(text, named):
    """Services that are called by their names."""
    for name, port in re.findall(r"http://([a-z][a-z0-9-]*):(\d+)", text):
        service = named["service"].get(name)
        if service is None:
            yield f"no service {name}"
        elif int(port) not in [p["port"] for p in service["spec"]["ports"]]:
            yield f"service {name} has no port {port}"


def check_service(service, templates):
    name, wanted = service["metadata"]["name"], service["spec"]["selector"]
    chosen = [t for t in templates if wanted.items() <= t["metadata"]["labels"].items()]
    if len(chosen) != 1:
        return [f"service {name} selects {len(chosen)} kinds of pods"]
    ports = {}
    for container in chosen[0]["spec"]["containers"]:
        ports |= {port["name"]: port["containerPort"] for port in container.get("ports", [])}
    # No proxy of services runs here that could lead from one to the other.
    return [f"service {name}: port {port}" for port in service["spec"]["ports"]
            if ports.get(port["targetPort"]) != port["port"]]


# What is tried.

def volumes(cluster, folder):
    """Where the claims' volumes are. A test knows better than a provisioner what it wants to look at."""
    for claim in ("runs", "telemetry", "datasets"):
        place = folder / "volumes" / claim
        place.mkdir(parents=True)
        volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": claim}, "spec": {
            "capacity": {"storage": "200Gi"}, "accessModes": ["ReadWriteMany"], "storageClassName": "",
            "hostPath": {"path": str(place)}, "claimRef": {"namespace": NAMESPACE, "name": claim}}}
        cluster.kubectl("apply", "-f", "-", text=json.dumps(volume))


def what_people_make(cluster, loadgen, folder):
    """The objects that deploy/k8s/README.md lets people make, by its commands."""
    kubectl = ["-n", NAMESPACE, "create"]
    cluster.kubectl(*kubectl, "secret", "generic", "loadgen-proxy", "--from-literal=token=of-the-test")
    plan = subprocess.run([loadgen, "plan", MANIFESTS / "base" / "scenario.yaml", "--format", "json",
                           "--time-scale", str(SCALE)], capture_output=True, text=True, check=True)
    (folder / "plan.json").write_text(plan.stdout)
    cluster.kubectl(*kubectl, "configmap", "loadgen-k6", f"--from-file={HERE}/k6/", f"--from-file={folder}/plan.json")
    cluster.kubectl(*kubectl, "configmap", "upload", "--from-literal=url=file:///runs/uploaded")
    cluster.kubectl(*kubectl, "secret", "generic", "upload", "--from-literal=AWS_REGION=nowhere")


def restricted(cluster):
    """Pod Security is in force: a pod that may be root is refused."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "careless"},
           "spec": {"containers": [{"name": "loadgen", "image": "loadgen"}]}}
    refused = cluster.kubectl("-n", NAMESPACE, "create", "-f", "-", text=json.dumps(pod), check=False)
    if refused.returncode == 0 or "violates PodSecurity" not in refused.stderr:
        raise Wrong(f"a pod that may be root was not refused: {refused.stderr}")
    say("a pod that may be root is refused")


def applied(cluster):
    """All kustomizations but the one whose kind of object the operator brings."""
    every = []
    for kustomization in ("base", "demo", "job", "cronjob", "shards", "k6", "extract"):
        every += cluster.apply(MANIFESTS / kustomization)
    full = cluster.overlay("full", MANIFESTS / "cronjob",
                           components=[relative(MANIFESTS / "components" / name, cluster.folder / "overlays" / "full")
                                       for name in ("chaos-mesh", "upload")])
    every += cluster.apply(full)
    cluster.kubectl("kustomize", MANIFESTS / "k6-operator")
    check_references(cluster, every)
    for job in cluster.get("cronjobs")["items"]:
        name = job["metadata"]["name"]
        cluster.kubectl("-n", NAMESPACE, "create", "job", f"{name}-of-cron", f"--from=cronjob/{name}")
    jobs = cluster.get("jobs")["items"]
    for job in [job for job in jobs if not job["spec"].get("suspend")]:
        name, wanted = job["metadata"]["name"], job["spec"]["parallelism"]
        wait_for(f"{wanted} pods of job {name}", lambda: len(cluster.pods(name)) == wanted)
    for name in ("shop", "collector"):
        wait_for(f"a pod of {name}", lambda: cluster.get("pods", "-l", f"app.kubernetes.io/name={name}")["items"])
    policies = [o for o in every if o["kind"] == "NetworkPolicy"]
    idle = {o["metadata"]["name"] for o in policies} - {o["metadata"]["name"] for o in policies if o.get("selected")}
    if idle:
        raise Wrong(f"network policies that select no pod: {sorted(idle)}")
    say(f"{len(every)} objects applied; what they name exists; pods of {len(jobs)} jobs and the demo are admitted")


def rights(cluster):
    """What the account may do with the component for Chaos Mesh, and what not."""
    account = Api(cluster.admin.parent)
    account.token = cluster.kubectl("-n", NAMESPACE, "create", "token", "loadgen").strip()
    def may(verb, what):
        resource, _, group = what.partition(".")
        asked = {"namespace": NAMESPACE, "verb": verb, "resource": resource, "group": group}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return account.call("POST", path, {"spec": {"resourceAttributes": asked}})["status"]["allowed"]
    for verb in ("create", "delete", "get", "list"):
        if not may(verb, "networkchaos.chaos-mesh.org"):
            raise Wrong(f"the account may not {verb} networkchaos")
    for verb, what in (("patch", "networkchaos.chaos-mesh.org"), ("delete", "pods"), ("create", "pods"),
                       ("get", "secrets"), ("list", "configmaps")):
        if may(verb, what):
            raise Wrong(f"the account may {verb} {what}")
    say("the account may make objects of Chaos Mesh, and nothing else")


def clean(cluster):
    """The jobs were only looked at, and are gone before there is a node."""
    cluster.kubectl("-n", NAMESPACE, "delete", "jobs,cronjobs", "--all", "--wait")
    left = ("pods", "-l", "app.kubernetes.io/component in (generator, offline)")
    wait_for("the end of pods", lambda: not cluster.get(*left)["items"])
    cluster.kubelet.start()


def demo(cluster):
    for name in ("collector", "shop"):
        cluster.kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{name}", f"--timeout={LONG}s")
    say("the demo is ready")


def a_job(cluster, runs):
    """A run whose labels the evidence backs, uploaded at its end."""
    job = cluster.overlay("job", MANIFESTS / "job", [add_arguments("Job", "run", [f"--time-scale={SCALE}", "--quiet"])],
                          components=[relative(MANIFESTS / "components" / "upload", cluster.folder / "overlays" / "job")])
    cluster.apply(job)
    cluster.complete("run")
    (pod,) = cluster.pods("run")
    run = runs / pod["metadata"]["name"]
    verdicts = supported(run / "dataset")
    uploaded = runs / "uploaded" / run.name
    if files(run) != files(uploaded):
        raise Wrong(f"uploaded is {files(uploaded)}, and not {files(run)}")
    say(f"Job: complete, {verdicts} windows supported, uploaded")


def files(folder):
    return {str(f.relative_to(folder)): f.stat().st_size for f in folder.rglob("*") if f.is_file()}


def supported(dataset):
    """The windows with a fault, each of which must be backed."""
    (evidence,) = dataset.glob("evidence_*.json")
    windows = json.loads(evidence.read_text())["windows"]
    verdicts = {w["scenario"]: w["verdict"] for w in windows if w["judged_as"] == "anomalous"}
    if set(verdicts.values()) != {"supported"}:
        raise Wrong(f"{dataset}: {verdicts}")
    return len(verdicts)


def a_cron_job_that_is_stopped(cluster, runs):
    """A run of the schedule's job gets SIGTERM under a fault: nothing stays, and the timeline ends."""
    cluster.apply(cluster.overlay("cronjob", MANIFESTS / "cronjob",
                                  [add_arguments("CronJob", "run", ["--time-scale=0.3", "--quiet"])]))
    cluster.kubectl("-n", NAMESPACE, "create", "job", "stopped", "--from=cronjob/run")
    (pod,) = wait_for("a pod of the job", lambda: cluster.pods("stopped"))
    run = runs / pod["metadata"]["name"]
    wait_for("a fault", lambda: "fault_injected" in kinds(run))
    if not toxics(cluster):
        raise Wrong("the proxy knows nothing of the fault")
    began = time.monotonic()
    # The pod is told to end; the job with it, which would replace it.
    cluster.kubectl("-n", NAMESPACE, "delete", "job", "stopped", "--cascade=foreground", "--wait")
    took = time.monotonic() - began
    grace = pod["spec"]["terminationGracePeriodSeconds"]
    events = kinds(run)
    last = json.loads((run / "timeline.jsonl").read_text().splitlines()[-1])
    if toxics(cluster) or "fault_cleared" not in events or last.get("status") != "interrupted":
        raise Wrong(f"after SIGTERM: {events}, {last}, {toxics(cluster)}")
    if took > grace:
        raise Wrong(f"the end took {took:.0f} s, and may take {grace} s")
    say(f"CronJob: ended in order {took:.1f} s after SIGTERM under a fault (of {grace} s), and no fault is left")


def kinds(run):
    """The kinds of lines of a run's timeline."""
    try:
        return [json.loads(line)["event"] for line in (run / "timeline.jsonl").read_text().splitlines()]
    except (OSError, ValueError):
        return []


def toxics(cluster):
    api = ["curl", "-s", "-H", "Authorization: Bearer of-the-test", "http://127.0.0.1:8474/proxies/web/toxics"]
    return json.loads(subprocess.run(api, capture_output=True, text=True, check=True).stdout)


def a_scenario_file_that_is_wrong(cluster):
    """Once more would not help, and is not tried."""
    cluster.kubectl("-n", NAMESPACE, "delete", "job", "run", "--wait")
    cluster.apply(cluster.overlay("wrong", MANIFESTS / "job", [add_arguments("Job", "run", ["--scenarios=none-such"])]))
    end = cluster.finished("run")
    if end != ("Failed", "PodFailurePolicy") or len(cluster.pods("run")) != 1:
        raise Wrong(f"{end} with {len(cluster.pods('run'))} pods\n{cluster.logs('run')}")
    say("Job with a wrong scenario: failed at once, by the policy")


def shards(cluster, runs):
    """Four generators of one run, one of them killed before the start, and their merged run."""
    cluster.doomed.add(("shards", "2"))
    cluster.apply(cluster.overlay("shards", MANIFESTS / "shards",
                                  [add_arguments("Job", "shards", [f"--time-scale={SCALE}", "--quiet"])]))
    cluster.complete("shards")
    pods = collections.Counter(pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]
                               for pod in cluster.pods("shards"))
    if pods != {"0": 1, "1": 1, "2": 2, "3": 1}:
        raise Wrong(f"pods of each index: {dict(pods)}")
    cluster.kubectl("-n", NAMESPACE, "patch", "job", "merge", "-p", '{"spec": {"suspend": false}}')
    cluster.complete("merge")
    merged = runs / "shards-merged"
    summary = json.loads((merged / "summary.json").read_text())
    iterations = sum(scenario["iterations"] for scenario in summary["scenarios"])
    say(f"Indexed Job: index 2 was killed and tried again; four shards are merged, {iterations} iterations")


def extraction(cluster, runs):
    # One that was stopped under its first fault has no normal time to compare with after it, and no
    # dataset that is usable, which the job would say.
    for stopped in runs.glob("stopped-*"):
        shutil.rmtree(stopped)
    cluster.apply(cluster.overlay("extract", MANIFESTS / "extract", [add_arguments("CronJob", "extract", ["--wait=1"])]))
    cluster.kubectl("-n", NAMESPACE, "create", "job", "extract-now", "--from=cronjob/extract")
    cluster.complete("extract-now")
    datasets = cluster.folder / "volumes" / "datasets"
    made = sorted(f.parent.name for f in datasets.glob("*/extraction.json"))
    wanted = sorted(f.parent.name for f in runs.glob("*/timeline.jsonl"))
    if made != wanted:
        raise Wrong(f"datasets of {made}, runs {wanted}")
    say(f"CronJob extract: a dataset of each of {len(made)} runs")


def k6_pods(cluster, runs, loadgen):
    """Four pods of the stock k6; each leaves a log of which a timeline can be made."""
    wait = {"op": "replace", "path": "/spec/template/spec/containers/0/env/3/value", "value": "8"}
    patch = {"target": {"kind": "Job", "name": "k6"}, "patch": json.dumps([wait])}
    cluster.apply(cluster.overlay("k6", MANIFESTS / "k6", [patch]))
    cluster.complete("k6")
    counts, everybody = [], set()
    for index in range(4):
        log = runs / "k6" / f"events-{index}.log"
        by_hand(loadgen, "timeline", "from-k6", log, "--out", cluster.folder / f"k6-{index}")
        # Scenario and number of each iteration that sent something.
        sent = {tuple(line.split()[3:5]) for line in log.read_text().splitlines() if line.startswith("lg1 b ")}
        if not sent or sent & everybody:
            raise Wrong(f"k6 pod {index} sent {len(sent)} iterations, of others {len(sent & everybody)}")
        everybody |= sent
        counts.append(len(sent))
    by_hand(loadgen, "merge", *[cluster.folder / f"k6-{index}" for index in range(4)], "--out", cluster.folder / "k6")
    say(f"Indexed Job k6: iterations of the four pods {counts}, none of them twice; merged")


def by_hand(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Wrong(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stderr}")


def has(loadgen, command, option):
    told = subprocess.run([loadgen, command, "--help"], capture_output=True, text=True)
    return told.returncode == 0 and option in told.stdout


def trial(arguments, folder):
    loadgen = pathlib.Path(arguments.loadgen).resolve()
    images = images_of(arguments, folder)
    cluster = Cluster(arguments.control_plane, folder, images)
    runs = folder / "volumes" / "runs"
    try:
        say("the control plane is ready")
        volumes(cluster, folder)
        cluster.apply(MANIFESTS / "base")
        what_people_make(cluster, loadgen, folder)
        restricted(cluster)
        applied(cluster)
        rights(cluster)
        clean(cluster)
        demo(cluster)
        a_job(cluster, runs)
        a_scenario_file_that_is_wrong(cluster)
        a_cron_job_that_is_stopped(cluster, runs)
        shards(cluster, runs)
        extraction(cluster, runs)
        if K6_IMAGE in images:
            k6_pods(cluster, runs, loadgen)
        else:
            say("NOT RUN: k6 pods, as there is no k6")
        if cluster.kubelet.problems:
            raise Wrong("\n".join(cluster.kubelet.problems))
    finally:
        cluster.stop()


def enter_network():
    """A network of one's own, so that ports of the manifests are free, and nothing leaves the machine."""
    if os.environ.get("LOADGEN_OWN_NETWORK") != "yes":
        os.environ["LOADGEN_OWN_NETWORK"] = "yes"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    # The loopback interface is down at first: SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, 0x8913, request))[1]
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", flags | 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loadgen", required=True, help="the program; the pods' too, unless --image-root is given")
    parser.add_argument("--image-root", help="root of the built image (`buildah mount`)")
    parser.add_argument("--k6", help="a stock k6 [default: K6_BIN, the PATH's, or that of the tests]")
    parser.add_argument("--keep", action="store_true", help="leave the folder with everything in it")
    arguments = parser.parse_args()
    arguments.control_plane = os.environ.get("LOADGEN_REAL_APISERVER")
    if not arguments.control_plane:
        sys.exit("LOADGEN_REAL_APISERVER names no control plane, see .ci/control-plane/README.md")
    if os.geteuid() != 0:
        sys.exit("pods want root here, for users and mounts of their own")
    enter_network()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="loadgen-kubernetes-"))
    # Pods have users of their own.
    folder.chmod(0o755)
    try:
        trial(arguments, folder)
    except Wrong as problem:
        print(f"WRONG: {problem}\neverything is in {folder}", file=sys.stderr)
        sys.exit(1)
    if arguments.keep:
        print(f"everything is in {folder}")
    else:
        shutil.rmtree(folder)


BEGAN = time.monotonic()
if __name__ == "__main__":
    main()
