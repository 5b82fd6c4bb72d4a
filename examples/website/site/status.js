"use strict";

const mebibytes = (n) => (n / (1 << 20)).toFixed(1) + " MiB";

const format = {
  uptime_seconds: (s) => s.toFixed(1) + " s",
  heap_bytes: mebibytes,
  memory_bytes: mebibytes,
};

async function update() {
  const answer = await fetch("api/status");
  const status = await answer.json();
  for (const cell of document.querySelectorAll("#status dd")) {
    const key = cell.dataset.key;
    const show = format[key] || String;
    cell.textContent = show(status[key]);
  }
}

async function loop() {
  try {
    await update();
  } catch (err) {
    console.warn("status:", err);
  }
  setTimeout(loop, 2000);
}

loop();
