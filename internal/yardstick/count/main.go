// Command count counts the lines of source that programs of C are made of, from
// the line tables of their debug information joined with the sources, as Tailor
// counts its own. tools/count-linux.sh runs it.
//
//	count -into FILE -name NAME -version VERSION -sources PREFIX=DIR,... PROGRAM...
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tailor-os/tailor/internal/yardstick"
)

func main() {
	var c component
	flag.StringVar(&c.Name, "name", "", "what it is called")
	flag.StringVar(&c.Version, "version", "", "version, of the package that has it")
	flag.StringVar(&c.From, "from", "", "what was counted, for people")
	sources := flag.String("sources", "", "`PREFIX=DIR,...`: the folders where files with a name in the tables are")
	into := flag.String("into", "", "`FILE` of figures to add it to; a new one if there is none")
	flag.Parse()
	if err := run(&c, *sources, *into, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "count:", err)
		os.Exit(1)
	}
}

func run(c *component, sources, into string, programs []string) error {
	t := tables{files: map[string]*file{}}
	for _, name := range programs {
		if err := t.read(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	missing, err := c.count(&t, strings.Split(sources, ","))
	if err != nil {
		return err
	}
	for _, name := range missing {
		fmt.Fprintln(os.Stderr, "made by the build:", name)
	}
	return c.addTo(into)
}

// addTo adds c to a file of figures, in place of one of that name.
func (c *component) addTo(into string) error {
	var f struct {
		Date       string                `json:"date"`
		Components []yardstick.Component `json:"components"`
	}
	old, err := os.ReadFile(into)
	if err == nil {
		err = json.Unmarshal(old, &f)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f.Date = time.Now().UTC().Format(time.DateOnly)
	f.Components = slices.DeleteFunc(f.Components, func(o yardstick.Component) bool { return o.Name == c.Name })
	f.Components = append(f.Components, c.Component)
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(into, append(data, '\n'), 0o644)
}
