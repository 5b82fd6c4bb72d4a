"use strict";

const svg = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
const number = new Intl.NumberFormat();
const kinds = ["repelled", "handed", "itself"]; // by outcome, see board.go
const history = [];
let before; // attempts that had begun at the last message

function draw(kind, attributes) {
  const e = document.createElementNS(svg, kind);
  for (const name in attributes) e.setAttribute(name, attributes[name]);
  return e;
}

// fly shows one attempt: a dot comes from the edge, and bounces off in shards,
// or something falls out.
function fly([door, outcome, from], delay) {
  const flight = $("flight");
  if (still || document.hidden || flight.childElementCount > 160) return;
  const angle = (from / 65536) * 2 * Math.PI + (Math.random() - 0.5) * 0.9;
  const [x, y] = [Math.cos(angle), Math.sin(angle)];
  const far = 620, near = 92 + 8 * door;
  const dot = draw("circle", { r: outcome ? 8 : 5, class: kinds[outcome] });
  flight.append(dot);
  const come = dot.animate(
    [{ transform: `translate(${x * far}px,${y * far}px)`, opacity: 0.2 }, { transform: `translate(${x * near}px,${y * near}px)`, opacity: 1 }],
    { duration: 600 + Math.random() * 300, delay, easing: "ease-in", fill: "both" });
  come.onfinish = () => {
    dot.remove();
    outcome ? fall(x * near, y * near, outcome) : shatter(x, y, near);
  };
}

function shatter(x, y, near) {
  for (let i = 0; i < 4; i++) {
    const shard = draw("rect", { x: -2.5, y: -2.5, width: 5, height: 5, class: "repelled" });
    $("flight").append(shard);
    const turn = (Math.random() - 0.5) * 1.6, to = near + 60 + Math.random() * 110;
    const [dx, dy] = [x * Math.cos(turn) - y * Math.sin(turn), x * Math.sin(turn) + y * Math.cos(turn)];
    shard.animate(
      [{ transform: `translate(${x * near}px,${y * near}px)`, opacity: 1 }, { transform: `translate(${dx * to}px,${dy * to + 50}px) rotate(${turn * 400}deg)`, opacity: 0 }],
      { duration: 500 + Math.random() * 400, easing: "ease-out" }).onfinish = () => shard.remove();
  }
}

function fall(x, y, outcome) {
  const coin = draw("circle", { r: 12, class: kinds[outcome] });
  $("flight").append(coin);
  coin.animate(
    [{ transform: `translate(${x}px,${y}px)` }, { transform: `translate(${x * 1.3}px,340px)` }],
    { duration: 1400, easing: "cubic-bezier(.5,0,.9,.6)" }).onfinish = () => coin.remove();
}

// record draws how many attempts there were since the last message.
function record(begun) {
  history.push(Math.max(0, begun - (before ?? begun)));
  before = begun;
  if (history.length > 120) history.shift();
  const most = Math.max(8, ...history);
  $("history").replaceChildren(...history.map((n, i) =>
    draw("rect", { x: 120 - history.length + i + 0.1, y: 24 - (24 * n) / most, width: 0.8, height: (24 * n) / most })));
}

function show(status) {
  const sum = { begun: 0, open: 0, failed: 0, itself: 0, handed: 0 };
  for (const door of Object.values(status.doors)) for (const name in sum) sum[name] += door[name];
  sum.broken = sum.handed - sum.itself;
  for (const e of document.querySelectorAll("[data-figure]")) e.textContent = number.format(sum[e.dataset.figure]);
  record(sum.begun);
  const why = Object.entries(status.failed).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
  $("reasons").replaceChildren(...why.map(([name, n]) => {
    const li = document.createElement("li"), b = document.createElement("b");
    b.textContent = number.format(n);
    li.append(name, b);
    return li;
  }));
  const mib = (n) => (n / 1048576).toFixed(1) + " MiB";
  $("machine").textContent = `Up ${number.format(Math.floor(status.uptime_seconds))} s, ${mib(status.heap_bytes)} of heap (${mib(status.heap_peak_bytes)} at most), ${status.goroutines} goroutines.`;
  status.events.forEach((e, i) => fly(e, (i * 500) / status.events.length));
}

new EventSource("events").onmessage = (message) => show(JSON.parse(message.data));
