// The live console: puts the link, the list, the board, the leases and the viewer together.

import { Doors } from "./doors.js";
import { Leases } from "./leases.js";
import { Link, ask } from "./link.js";
import { Rows, eventText } from "./rows.js";
import { language, moment, t } from "./words.js";

const OVERLAP_MS = 30000; // a slow commit can appear this far behind the newest row

const $ = (id) => document.getElementById(id);

const viewer = {
  show(source, caption) {
    $("viewer-picture").src = source;
    $("viewer-picture").alt = caption;
    $("viewer-caption").textContent = caption;
    $("viewer").showModal();
  },
};
$("viewer-close").addEventListener("click", () => $("viewer").close());

const rows = new Rows({ body: $("rows"), empty: $("empty"), viewer });
const pageToken = document.querySelector('meta[name="page-token"]').content;
const doors = new Doors({ list: $("doors"), summary: $("board-summary"), pageToken });
const leases = new Leases({ list: $("leases"), summary: $("leases-summary"), pageToken });

async function read(path) {
  const answer = await ask(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function readEvents() {
  const filter = rows.filter;
  const query = new URLSearchParams({ limit: "200", only: filter });
  if (rows.newestAt !== null) query.set("after", new Date(rows.newestAt - OVERLAP_MS).toISOString());
  const { events, clips } = await read(`/api/v1/events?${query}`);
  if (rows.filter !== filter) return;
  rows.add(events, false);
  rows.addClips(clips);
  rows.showEmpty(t("events.none"));
}

function showGateways(gateways) {
  const list = $("gateways");
  for (const { gateway, presence } of gateways) {
    let item = [...list.children].find((element) => element.dataset.gateway === gateway);
    if (!item) {
      item = document.createElement("li");
      item.dataset.gateway = gateway;
      list.append(item);
    }
    item.dataset.presence = presence;
    const dot = document.createElement("span");
    dot.className = "dot";
    dot.setAttribute("aria-hidden", "true");
    item.replaceChildren(dot, `${gateway} ${t(`gateway.${presence}`)}`);
  }
}

async function reread() {
  const [board, presence] = await Promise.all([
    read("/api/v1/doors"), read("/api/v1/gateways"), readEvents(), leases.read(),
  ]);
  doors.replace(board.doors);
  showGateways(presence.gateways);
}

const handlers = {
  events(message) {
    const added = rows.add(message.rows, true);
    rows.showEmpty(t("events.none"));
    const alarm = added.findLast((row) => row.alarm);
    if (alarm) $("announcer").textContent = `${moment(alarm.time)} ${eventText(alarm)} ${alarm.place ?? ""}`;
  },
  clips: ({ clips }) => rows.addClips(clips),
  board({ board }) {
    doors.change(board.doors);
    showGateways(board.gateways);
  },
  command: ({ command }) => doors.command(command),
};

function showState(state) {
  $("link").dataset.state = state;
  $("link-text").textContent = t(`link.${state}`);
  $("lost-text").textContent = state === "lost" ? t("link.lost_banner") : "";
  $("lost").hidden = state !== "lost";
  doors.setLinked(state === "live");
  leases.setLinked(state === "live");
}

for (const button of document.querySelectorAll("[data-filter]")) {
  button.addEventListener("click", () => {
    for (const other of document.querySelectorAll("[data-filter]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    rows.choose(button.dataset.filter);
    rows.showEmpty(t("events.loading"));
    readEvents().catch(() => rows.showEmpty(t("link.lost")));
  });
}

const clockFormat = new Intl.DateTimeFormat(language, {
  month: "short", day: "numeric", weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});
function tick() {
  $("clock").textContent = clockFormat.format(new Date());
}
tick();
setInterval(tick, 5000);

new Link({
  message: (message) => handlers[message.kind]?.(message),
  reread,
  state: showState,
});
