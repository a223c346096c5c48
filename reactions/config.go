package reactions

import "supmesh.dev/services"

// Config is what the reactions service is told.
type Config struct {
	services.Config `embed:""`
}
