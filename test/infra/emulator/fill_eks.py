"""EKS: calls that moto lacks (add-ons, access entries, pod identity), and what it forgets."""

import json
import re
import time

from request import json_answer, json_error

# Part of CreateCluster that moto accepts and does not give back.
KEPT = ("accessConfig", "upgradePolicy", "zonalShiftConfig", "computeConfig", "storageConfig")
NETWORK = {"serviceIpv4Cidr": "172.20.0.0/16", "ipFamily": "ipv4"}
ADDON_VERSION = "v1.0.0-eksbuild.1"


class EksFiller:
    name = "fill_eks"

    def __init__(self, account):
        self.account = account
        self.kept = {}  # (region, cluster) -> what CreateCluster said
        self.things = {}  # (region, cluster, kind) -> {id: thing}
        self.serial = 0
        # (method, path with {names}, handler)
        one_addon = "clusters/{cluster}/addons/{name}"
        entries = "clusters/{cluster}/access-entries"
        one_entry = entries + "/{name}"
        policies = one_entry + "/access-policies"
        identities = "clusters/{cluster}/pod-identity-associations"
        one_identity = identities + "/{name}"
        self.routes = [
            ("GET", "addons/supported-versions", self.addon_versions),
            ("POST", "clusters/{cluster}/addons", self.create_addon),
            ("GET", one_addon, self.shown("addons", "addon")),
            ("DELETE", one_addon, self.removed("addons", "addon")),
            ("POST", one_addon + "/update", self.update_addon),
            ("POST", entries, self.create_entry),
            ("GET", one_entry, self.shown("entries", "accessEntry")),
            ("POST", one_entry, self.changed("entries", "accessEntry")),
            ("DELETE", one_entry, self.removed("entries", "accessEntry")),
            ("POST", policies, self.associate_policy),
            ("GET", policies, self.list_policies),
            ("DELETE", policies + "/{policy}", self.disassociate_policy),
            ("POST", identities, self.create_identity),
            ("GET", one_identity, self.shown("identities", "association")),
            ("POST", one_identity, self.changed("identities", "association")),
            ("DELETE", one_identity, self.removed("identities", "association")),
            ("GET", "clusters/{cluster}/updates/{name}", self.show_update),
        ]

    def answer(self, request):
        if request.service != "eks":
            return None
        if request.method == "POST" and request.parts == ["clusters"]:
            self.keep(request)
            return None
        for method, path, handler in self.routes:
            names = match(path.split("/"), request.parts)
            if method == request.method and names is not None:
                return handler(request, **names)
        return None

    def correct(self, request, body):
        """Adds to moto's description of a cluster what was asked for when it was made."""
        if request.service != "eks" or request.parts[:1] != ["clusters"] or len(request.parts) > 2:
            return body
        try:
            document = json.loads(body)
            cluster = document["cluster"]
            kept = self.kept[request.region, cluster["name"]]
        except (ValueError, KeyError, TypeError):
            return body
        if kept.items() <= cluster.items():
            return body
        cluster.update(kept)
        return json.dumps(document).encode()

    def keep(self, request):
        body = request.json
        kept = {name: body[name] for name in KEPT if name in body}
        kept["kubernetesNetworkConfig"] = NETWORK | (body.get("kubernetesNetworkConfig") or {})
        self.kept[request.region, body.get("name")] = kept

    # --- what is common to all of them ---

    def shelf(self, request, cluster, kind):
        return self.things.setdefault((request.region, cluster, kind), {})

    def arn(self, request, kind, *ids):
        return f"arn:aws:eks:{request.region}:{self.account}:{kind}/" + "/".join(ids)

    def shown(self, kind, member):
        def show(request, cluster, name):
            thing = self.shelf(request, cluster, kind).get(name)
            return json_answer({member: thing}) if thing else not_found(name)

        return show

    def removed(self, kind, member):
        def remove(request, cluster, name):
            thing = self.shelf(request, cluster, kind).pop(name, None)
            return json_answer({member: thing}) if thing else not_found(name)

        return remove

    def changed(self, kind, member):
        def change(request, cluster, name):
            thing = self.shelf(request, cluster, kind).get(name)
            if not thing:
                return not_found(name)
            thing.update(asked(request))
            return json_answer({member: thing})

        return change

    # --- add-ons ---

    def addon_versions(self, request):
        version = request.query_value("kubernetesVersion", "1.35")
        offer = {
            "addonVersion": ADDON_VERSION,
            "architecture": ["amd64", "arm64"],
            "compatibilities": [{"clusterVersion": version, "defaultVersion": True}],
        }
        addon = {"addonName": request.query_value("addonName", ""), "addonVersions": [offer]}
        return json_answer({"addons": [addon]})

    def create_addon(self, request, cluster):
        body = asked(request)
        name = body["addonName"]
        addon = {"addonVersion": ADDON_VERSION, "tags": {}} | body
        addon |= {
            "clusterName": cluster,
            "status": "ACTIVE",
            "health": {"issues": []},
            "addonArn": self.arn(request, "addon", cluster, name, "emulator"),
        }
        self.shelf(request, cluster, "addons")[name] = addon | times()
        return json_answer({"addon": self.shelf(request, cluster, "addons")[name]})

    def update_addon(self, request, cluster, name):
        addon = self.shelf(request, cluster, "addons").get(name)
        if not addon:
            return not_found(name)
        addon.update(asked(request))
        return json_answer({"update": self.update("AddonUpdate")})

    # --- who may enter ---

    def create_entry(self, request, cluster):
        body = asked(request)
        principal = body["principalArn"]
        entry = {"kubernetesGroups": [], "type": "STANDARD", "tags": {}, "username": principal}
        entry |= {name: value for name, value in body.items() if value}
        entry |= {
            "clusterName": cluster,
            "accessEntryArn": self.arn(request, "access-entry", cluster, "emulator"),
        }
        self.shelf(request, cluster, "entries")[principal] = entry | times()
        return json_answer({"accessEntry": self.shelf(request, cluster, "entries")[principal]})

    def associate_policy(self, request, cluster, name):
        body = asked(request)
        policy = {"policyArn": body["policyArn"], "accessScope": body.get("accessScope", {})}
        now = time.time()
        policy |= {"associatedAt": now, "modifiedAt": now}
        self.shelf(request, cluster, "policies of " + name)[body["policyArn"]] = policy
        return json_answer(
            {"clusterName": cluster, "principalArn": name, "associatedAccessPolicy": policy}
        )

    def list_policies(self, request, cluster, name):
        policies = list(self.shelf(request, cluster, "policies of " + name).values())
        return json_answer(
            {"clusterName": cluster, "principalArn": name, "associatedAccessPolicies": policies}
        )

    def disassociate_policy(self, request, cluster, name, policy):
        gone = self.shelf(request, cluster, "policies of " + name).pop(policy, None)
        return json_answer({}) if gone else not_found(policy)

    def create_identity(self, request, cluster):
        self.serial += 1
        name = f"a-{self.serial:016x}"
        identity = {"tags": {}} | asked(request)
        identity |= {
            "clusterName": cluster,
            "associationId": name,
            "associationArn": self.arn(request, "podidentityassociation", cluster, name),
        }
        self.shelf(request, cluster, "identities")[name] = identity | times()
        return json_answer({"association": self.shelf(request, cluster, "identities")[name]})

    # --- updates end at once ---

    def update(self, kind):
        self.serial += 1
        done = {"id": f"{self.serial:08x}", "status": "Successful", "type": kind}
        return done | {"params": [], "errors": [], "createdAt": time.time()}

    def show_update(self, request, cluster, name):
        return json_answer({"update": self.update("ConfigUpdate") | {"id": name}})


def match(pattern, parts):
    """The named parts of the path, or None."""
    if len(pattern) != len(parts):
        return None
    names = {}
    for want, have in zip(pattern, parts, strict=True):
        name = re.fullmatch(r"\{(\w+)\}", want)
        if name:
            names[name[1]] = have
        elif want != have:
            return None
    return names


def asked(request):
    return {k: v for k, v in request.json.items() if k != "clientRequestToken"}


def times():
    now = time.time()
    return {"createdAt": now, "modifiedAt": now}


def not_found(name):
    return json_error("404 Not Found", "ResourceNotFoundException", f"{name} is not there")
