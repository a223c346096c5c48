module supmesh.dev/gateway

go 1.26.0

require (
	github.com/coder/websocket v1.8.15
	github.com/go-json-experiment/json v1.27.2
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
	golang.org/x/sys v0.49.0
	supmesh.dev/proto v0.0.0
	supmesh.dev/services v0.0.0
)

replace supmesh.dev/proto => ../proto

replace supmesh.dev/services => ../services
