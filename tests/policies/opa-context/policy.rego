package context

main := {"response": {"uid": "", "allowed": count(taken) == 0, "status": {"message": sprintf("%v of %d namespaces", [taken, count(data.kubernetes.namespaces)])}}}

taken := {namespace |
	some namespace, services in data.kubernetes.services
	services[input.request.object.metadata.name]
	namespace != input.request.namespace
}
