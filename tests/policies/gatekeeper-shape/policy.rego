# Gives Gatekeeper what it can't read: an object, a text, or nothing.
package shape

violation := {"msg": "an object"} if input.review.object.metadata.annotations.do == "object"

violation := "text" if input.review.object.metadata.annotations.do == "text"
