module supmesh.dev/chat

go 1.26.0

require (
	supmesh.dev/proto v0.0.0
	supmesh.dev/services v0.0.0
)

replace supmesh.dev/proto => ../proto

replace supmesh.dev/services => ../services
