package timesync

import (
	"time"

	"github.com/tailor-os/tailor/metrics"
)

// write is a [metrics.Source].
func (k *keeper) write(w *metrics.Writer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w.Gauge("tailor_ntp_synchronized", "Whether the clock is kept right by time servers.").Add(metrics.Bool(k.d.Right()))
	w.Gauge("tailor_ntp_offset_seconds", "What the clock lacked when it was last compared.").Add(k.best.Offset.Seconds())
	w.Gauge("tailor_ntp_distance_seconds", "How wrong that can be at the most, if nobody lies.").Add(k.best.Distance.Seconds())
	w.Gauge("tailor_ntp_stratum", "Stratum of the server that is followed, 0 for none.").Add(float64(k.best.Stratum))
	w.Gauge("tailor_ntp_frequency_adjustment_ratio", "By what the machine's counter is multiplied to be right.").Add(1 + float64(k.d.Drift())/1e9)
	if !k.synced.IsZero() {
		w.Gauge("tailor_ntp_age_seconds", "Time since the clock was last compared.").Add(time.Since(k.synced).Seconds())
	}
	w.Counter("tailor_ntp_steps_total", "Times that the clock was set.").Add(float64(k.steps[0]), "direction", "forward").Add(float64(k.steps[1]), "direction", "back")
	w.Counter("tailor_clock_pauses_total", "Times that the machine stood still or the clock was set from outside.").Add(float64(k.pauses))
	if len(k.servers) == 0 {
		return
	}
	answers := w.Counter("tailor_ntp_answers_total", "Questions to time servers by what became of them.")
	for _, s := range k.servers {
		answers.Add(float64(s.answers), "server", s.address, "result", "ok").
			Add(float64(s.failures), "server", s.address, "result", "failed").
			Add(float64(s.refusals), "server", s.address, "result", "refused")
	}
	offsets := w.Gauge("tailor_ntp_server_offset_seconds", "What the clock lacked by each server's time.")
	for _, s := range k.servers {
		offsets.Add(s.last.Offset.Seconds(), "server", s.address)
	}
}
