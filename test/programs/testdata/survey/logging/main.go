// Command logging logs with go.uber.org/zap and github.com/rs/zerolog.
package main

import (
	"os"

	"github.com/rs/zerolog"
	"go.uber.org/zap"
)

func main() {
	config := zap.NewProductionConfig()
	config.OutputPaths = []string{"stdout", "/tmp/zap.log"}
	logger := zap.Must(config.Build())
	logger.Info("by zap", zap.Int("n", 1))
	logger.Sync()
	other := zerolog.New(os.Stdout).With().Timestamp().Logger()
	other.Info().Int("n", 2).Msg("by zerolog")
	file, err := os.ReadFile("/tmp/zap.log")
	if err != nil || len(file) == 0 {
		panic(err)
	}
}
