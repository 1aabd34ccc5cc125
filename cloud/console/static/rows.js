// The list of events: keyed by id, newest receipt on top, never more than 200 rows in the page.

import { duration, knows, moment, t } from "./words.js";
import { glyph } from "./glyphs.js";

const MAX_ROWS = 200;
const MAX_CLIPS = 1000;
const PICTURE_RETRIES_MS = [1000, 2000, 4000, 8000, 15000];

/** Whether a filter of the page lets a row through; the hub's `only` means the same. */
const FILTERS = {
  all: () => true,
  doors: (row) => row.kind === "door",
  cameras: (row) => row.kind === "camera",
  alarms: (row) => row.alarm,
};

const keyOf = (gateway, id) => `${gateway} ${id}`;

const isNewer = (a, b) => (a.at !== b.at ? a.at > b.at : a.row.id > b.row.id);

export class Rows {
  /** @param {{body: HTMLElement, empty: HTMLElement, viewer: object}} parts */
  constructor({ body, empty, viewer }) {
    this.body = body;
    this.empty = empty;
    this.viewer = viewer;
    this.filter = "all";
    this.byId = new Map();
    this.clips = new Map(); // gateway and event id -> camera -> what was told of its clip, newest last
    this.entries = []; // newest first, as in the page
  }

  /** The receipt of the newest row, in milliseconds; null when there is none. */
  get newestAt() {
    return this.entries.length ? this.entries[0].at : null;
  }

  /** Show another selection; its rows are read by the caller. */
  choose(filter) {
    this.filter = filter;
    this.clear();
  }

  clear() {
    this.byId.clear();
    this.clips.clear();
    this.entries = [];
    this.body.replaceChildren();
  }

  /** Put rows in their places; a row that is there already stays as it is. Returns the rows that were new. */
  add(rows, isLive) {
    const added = rows.filter((row) => FILTERS[this.filter](row) && !this.byId.has(row.id));
    for (const row of added) this.#insert(row, isLive);
    for (const entry of this.entries.splice(MAX_ROWS)) {
      this.byId.delete(entry.row.id);
      entry.element.remove();
    }
    return added;
  }

  /** Put what was told of clips into the rows of their events, also of those that come later. */
  addClips(news) {
    for (const { gateway, events, clip } of news) {
      for (const id of events) {
        this.#noteClip(keyOf(gateway, id), clip);
        const entry = this.byId.get(id);
        if (entry?.row.gateway === gateway) this.#drawClips(entry);
      }
    }
  }

  #noteClip(key, clip) {
    const clips = this.clips.get(key) ?? new Map();
    clips.set(clip.camera, clip);
    this.clips.delete(key);
    this.clips.set(key, clips);
    if (this.clips.size > MAX_CLIPS) this.clips.delete(this.clips.keys().next().value);
  }

  #drawClips({ row, element }) {
    const clips = this.clips.get(keyOf(row.gateway, row.id));
    if (!clips) return;
    const shown = [...clips.values()].sort((a, b) => (a.camera < b.camera ? -1 : 1));
    element.querySelector(".clips").replaceChildren(...shown.map((clip) => clipLine(clip, shown.length > 1)));
  }

  showEmpty(text) {
    this.empty.hidden = this.entries.length > 0;
    this.empty.textContent = text;
  }

  #insert(row, isLive) {
    const entry = { row, at: Date.parse(row.received_at) };
    const place = this.entries.findIndex((other) => isNewer(entry, other));
    const index = place < 0 ? this.entries.length : place;
    if (index >= MAX_ROWS) return;
    entry.element = this.#draw(row, isLive);
    this.body.insertBefore(entry.element, this.entries[index]?.element ?? null);
    this.entries.splice(index, 0, entry);
    this.byId.set(row.id, entry);
    for (const clip of row.clips) this.#noteClip(keyOf(row.gateway, row.id), clip);
    this.#drawClips(entry);
  }

  #draw(row, isLive) {
    const element = document.createElement("tr");
    element.dataset.id = row.id;
    element.dataset.tone = tone(row);
    if (isLive) element.className = "fresh";
    element.append(
      cell("when", line("time", moment(row.time)), row.late && chip("late", t("row.late"))),
      this.#what(row),
      cell("where", line("strong", row.place ?? row.gateway), row.device !== row.place && line("muted", row.device)),
      cell("who", ...who(row)),
      this.#picture(row),
    );
    return element;
  }

  #what(row) {
    const words = document.createElement("div");
    const note = [row.vehicle && t(`vehicle.${row.vehicle}`), methodText(row.method), row.cause && causeText(row.cause)];
    if (row.seconds !== null) note.push(duration(row.seconds));
    words.append(line("strong", eventText(row)));
    const details = document.createElement("span");
    details.className = "details";
    if (row.credential) details.append(chip(row.credential, t(`credential.${row.credential}`)));
    const text = note.filter(Boolean).join(" · ");
    if (text) details.append(line("muted", text));
    if (details.childNodes.length) words.append(details);
    words.append(line("clips", ""));
    const element = cell("what", glyph(glyphName(row)), words);
    return element;
  }

  #picture(row) {
    if (!row.picture) return cell("picture");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "thumb";
    button.dataset.state = "waiting";
    button.dataset.waiting = t("picture.waiting");
    button.dataset.none = t("picture.none");
    const caption = t("viewer.caption", {
      time: moment(row.time), where: row.place ?? row.gateway, what: eventText(row),
    });
    button.setAttribute("aria-label", `${t("viewer.open")}: ${caption}`);
    const image = document.createElement("img");
    image.alt = "";
    image.decoding = "async";
    showPicture(image, button, `/api/v1/pictures/${row.picture}?event=${row.id}`, 0);
    button.append(image);
    button.addEventListener("click", () => button.dataset.state === "shown" && this.viewer.show(image.src, caption));
    return cell("picture", button);
  }
}

/** The event in words. */
export function eventText(row) {
  const type = row.type.replace(/\.v\d+$/, "");
  return knows(`event.${type}`) ? t(`event.${type}`) : t("event.unknown", { type });
}

/** How it was presented; a card is so usual that it goes without saying. */
const methodText = (method) => (method && method !== "card" && knows(`method.${method}`) ? t(`method.${method}`) : null);

const causeText = (cause) => (knows(`cause.${cause}`) ? t(`cause.${cause}`) : cause);

function tone(row) {
  if (row.type.startsWith("access.denied")) return "warn";
  if (row.alarm) return "alarm";
  if (row.credential === "valid") return "good";
  if (/\.offline\./.test(row.type)) return "warn";
  return row.kind === "camera" ? "info" : "plain";
}

function glyphName(row) {
  if (row.type.startsWith("access.denied")) return "denied";
  if (row.alarm) return "alarm";
  if (row.type.startsWith("access.granted")) return "granted";
  if (row.type.startsWith("person.")) return "person";
  if (row.type.startsWith("vehicle.")) return "vehicle";
  return row.kind;
}

function who(row) {
  if (row.person) return [line("strong", row.person), row.dwelling && line("muted", row.dwelling)];
  return [row.type.startsWith("access.") && line("muted", t("row.unknown_person"))];
}

// The picture travels beside its event and may come a moment later.
function showPicture(image, button, source, attempt) {
  image.onload = () => {
    button.dataset.state = "shown";
  };
  image.onerror = () => {
    if (attempt >= PICTURE_RETRIES_MS.length) {
      button.dataset.state = "none";
      return;
    }
    setTimeout(() => button.isConnected && showPicture(image, button, source, attempt + 1), PICTURE_RETRIES_MS[attempt]);
  };
  image.src = attempt ? `${source}&try=${attempt}` : source;
}

function cell(name, ...content) {
  const element = document.createElement("td");
  element.className = name;
  element.append(...content.filter(Boolean));
  return element;
}

function line(name, text) {
  const element = document.createElement(name === "time" ? "time" : "span");
  element.className = name;
  element.textContent = text;
  return element;
}

/** A link that opens the clip by itself: the browser plays it, and the hub writes down who looked. */
function clipLine(clip, isOneOfMany) {
  const element = line("muted", "");
  if (clip.sha256) {
    const link = document.createElement("a");
    link.className = "clip";
    link.href = `/api/v1/clips/${clip.sha256}?event=${clip.told_by}`;
    link.target = "_blank";
    link.rel = "noopener";
    link.textContent = t("clip.watch");
    element.append(link);
  }
  const note = [
    clip.lost && t("clip.lost", { why: causeText(clip.lost) }),
    clip.seconds !== null && duration(clip.seconds),
    isOneOfMany && clip.camera,
  ].filter(Boolean);
  element.append(note.length ? ` ${note.join(" · ")}` : "");
  if (clip.unmasked) element.append(" ", chip("unmasked", causeText("unmasked")));
  return element;
}

function chip(name, text) {
  const element = line("chip", text);
  element.dataset.chip = name;
  return element;
}
