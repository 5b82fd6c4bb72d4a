// Command cli reads flags with github.com/spf13/cobra, and a file, the
// environment and defaults with github.com/spf13/viper.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/viper"
)

func main() {
	if err := os.WriteFile("/tmp/config.yaml", []byte("greeting: hello\n"), 0o600); err != nil {
		panic(err)
	}
	viper.SetConfigFile("/tmp/config.yaml")
	viper.SetDefault("mark", "!")
	viper.AutomaticEnv()
	cobra.CheckErr(viper.ReadInConfig())
	greet := &cobra.Command{Use: "greet NAME", Args: cobra.ExactArgs(1), Run: func(c *cobra.Command, args []string) {
		for range viper.GetInt("times") {
			fmt.Println(viper.GetString("greeting"), args[0]+viper.GetString("mark"))
		}
	}}
	greet.Flags().Int("times", 1, "how often")
	cobra.CheckErr(viper.BindPFlags(greet.Flags()))
	root := &cobra.Command{Use: "cli"}
	root.AddCommand(greet)
	cobra.CheckErr(root.Execute())
}
