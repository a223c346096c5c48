module supmesh.dev/tools

go 1.26.0

require (
	supmesh.dev/chat v0.0.0
	supmesh.dev/gateway v0.0.0
	supmesh.dev/proto v0.0.0
	supmesh.dev/services v0.0.0
)

replace supmesh.dev/proto => ../proto

replace supmesh.dev/services => ../services

replace supmesh.dev/gateway => ../gateway

replace supmesh.dev/chat => ../chat
