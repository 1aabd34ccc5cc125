"use strict";
// Draws a zone or a line over the picture and asks the gateway for its lines; shows figures once a second. Changes nothing.

const byId = (id) => document.getElementById(id);
const canvas = byId("drawing");
const corners = [];
const NEAR = 12;
let held = -1;
let asked = 0;

function place(event) {
  const box = canvas.getBoundingClientRect();
  const fraction = (value) => Math.min(1, Math.max(0, value));
  return [fraction((event.clientX - box.left) / box.width), fraction((event.clientY - box.top) / box.height)];
}

function cornerAt(event) {
  const box = canvas.getBoundingClientRect();
  return corners.findIndex(([x, y]) =>
    Math.hypot(x * box.width + box.left - event.clientX, y * box.height + box.top - event.clientY) < NEAR);
}

function draw() {
  const box = canvas.getBoundingClientRect();
  canvas.width = box.width * devicePixelRatio;
  canvas.height = box.height * devicePixelRatio;
  const pen = canvas.getContext("2d");
  pen.scale(canvas.width, canvas.height);
  pen.lineWidth = 2 / box.width;
  pen.strokeStyle = "#00e5ff";
  pen.fillStyle = "rgb(0 229 255 / 20%)";
  pen.beginPath();
  corners.forEach(([x, y]) => pen.lineTo(x, y));
  if (corners.length > 2) pen.closePath();
  pen.fill();
  pen.stroke();
  for (const [x, y] of corners) pen.fillRect(x - 4 / box.width, y - 4 / box.height, 8 / box.width, 8 / box.height);
}

async function ask() {
  draw();
  const number = ++asked;
  const shown = byId("toml");
  if (corners.length < 2) {
    shown.value = "";
    shown.classList.remove("wrong");
    return;
  }
  const rounded = corners.map((corner) => corner.map((value) => Math.round(value * 1000) / 1000));
  const query = new URLSearchParams({ id: byId("name").value, polygon: JSON.stringify(rounded) });
  const answer = await (await fetch(`zone?${query}`)).json();
  if (number !== asked) return;
  shown.value = answer.toml || answer.fault;
  shown.classList.toggle("wrong", !answer.toml);
}

canvas.addEventListener("pointerdown", (event) => {
  held = cornerAt(event);
  if (held < 0) held = corners.push(place(event)) - 1;
  canvas.setPointerCapture(event.pointerId);
  draw();
});
canvas.addEventListener("pointermove", (event) => {
  if (held < 0) return;
  corners[held] = place(event);
  draw();
});
canvas.addEventListener("pointerup", () => {
  held = -1;
  ask();
});
byId("undo").addEventListener("click", () => { corners.pop(); ask(); });
byId("again").addEventListener("click", () => { corners.length = 0; ask(); });
byId("name").addEventListener("input", ask);
byId("copy").addEventListener("click", () => { byId("toml").select(); navigator.clipboard.writeText(byId("toml").value); });
byId("picture").addEventListener("load", draw);
window.addEventListener("resize", draw);

const FIGURES = [
  ["motion", "moving share of the picture", (value) => `${(value * 100).toFixed(1)} %`],
  ["tracks", "followed now", (value) => value],
  ["decode_ms", "waiting for and decoding a frame", (value) => `${value.toFixed(1)} ms`],
  ["motion_ms", "motion", (value) => `${value.toFixed(2)} ms`],
  ["detect_ms", "detector, each time it is asked", (value) => `${value.toFixed(1)} ms`],
  ["follow_ms", "tracks and zones", (value) => `${value.toFixed(2)} ms`],
  ["frames", "frames", (value) => value],
  ["looked", "looked at", (value) => value],
  ["detected", "given to the detector", (value) => value],
];

function rows(target, texts) {
  target.replaceChildren(...texts.map((cells) => {
    const row = document.createElement(target.tagName === "OL" ? "li" : "tr");
    if (row.tagName === "LI") row.textContent = cells;
    else row.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    return row;
  }));
}

async function refresh() {
  try {
    const status = await (await fetch("status.json")).json();
    byId("fault").textContent = status.fault || "";
    rows(byId("figures"), FIGURES.filter(([key]) => key in status).map(([key, name, shown]) => [name, shown(status[key])]));
    rows(byId("news"), status.news || []);
  } catch {
    byId("fault").textContent = "The command has ended. Start it again to go on.";
  }
}

setInterval(() => { if (!document.hidden) refresh(); }, 1000);
refresh();
