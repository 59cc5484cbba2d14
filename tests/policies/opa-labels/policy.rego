# Requires the labels of the setting `required` and, where the setting `add` names one, adds it.
package labels

labels := object.get(object.get(input.request.object, "metadata", {}), "labels", {})

missing := sort([label | some label in data.required; not labels[label]])

main := {"response": object.union(verdict, patch)}

verdict := {"uid": input.request.uid, "allowed": true} if count(missing) == 0

verdict := {
	"uid": input.request.uid,
	"allowed": false,
	"status": {
		"code": 422,
		"message": sprintf("%d of %d labels are missing: %s", [count(missing), count(data.required), concat(", ", missing)]),
		"details": {"causes": [{"field": sprintf("metadata.labels[%q]", [label])} | some label in missing]},
	},
} if {
	count(missing) > 0
}

default patch := {}

patch := {"patchType": "JSONPatch", "patch": base64.encode(json.marshal(operations))} if {
	count(missing) == 0
	object.get(labels, data.add.name, null) != data.add.value
	operations := [{"op": "add", "path": sprintf("/metadata/labels/%s", [data.add.name]), "value": data.add.value}]
}
