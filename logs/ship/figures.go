package ship

import "github.com/tailor-os/tailor/metrics"

// WriteFigures is a [metrics.Source].
func (s *Shipper) WriteFigures(w *metrics.Writer) {
	st := s.Stats()
	w.Counter("tailor_log_messages_total", "Messages of the program's log by what became of them: the collector's connection took them, or there was no room.").
		Add(float64(st.Sent), "result", "sent").Add(float64(st.Dropped), "result", "dropped")
	w.Gauge("tailor_log_queue_messages", "Messages that wait for the collector. As many may be on their way.").Add(float64(st.Waiting))
	w.Gauge("tailor_log_queue_bytes", "What those take of the queue.").Add(float64(st.Bytes))
	w.Gauge("tailor_log_queue_size_bytes", "What the queue has room for.").Add(MaxQueue)
	w.Counter("tailor_log_connections_total", "Connections to the collector: all but the first were made again.").Add(float64(st.Dialed))
}
