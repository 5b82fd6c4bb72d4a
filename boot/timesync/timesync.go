package timesync
