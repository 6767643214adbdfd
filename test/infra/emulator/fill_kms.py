"""KMS: moto forgets the rotation period that a key was given."""

import json


class KmsFiller:
    name = "fill_kms"

    def __init__(self, _account):
        self.days = {}  # (region, key id) -> days

    def answer(self, request):
        if request.service == "kms" and request.operation == "EnableKeyRotation":
            body = request.json
            self.days[request.region, key_of(body)] = body.get("RotationPeriodInDays", 365)
        return None

    def correct(self, request, body):
        if request.service != "kms" or request.operation != "GetKeyRotationStatus":
            return body
        days = self.days.get((request.region, key_of(request.json)))
        document = json.loads(body)
        if not days or not document.get("KeyRotationEnabled"):
            return body
        return json.dumps(document | {"RotationPeriodInDays": days}).encode()


def key_of(body):
    return body["KeyId"].rpartition("/")[2]
