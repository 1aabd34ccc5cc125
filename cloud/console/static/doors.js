// The door board: every door with its state and a release button that needs a deliberate second press.
// Doors keep their place, so that no button moves under a finger.

import { ask } from "./link.js";
import { glyph } from "./glyphs.js";
import { knows, moment, t } from "./words.js";

const ARMED_MS = 6000;
const DELIBERATE_MS = 350; // a double click is one press
const FOLLOW_MS = 1000;
const GIVE_UP_MS = 30000;
const RANK = { sent: 1, accepted: 2, no_answer: 3, done: 4, failed: 4, expired: 4 }; // a late answer still counts
const ENDED = new Set(["done", "failed", "expired", "no_answer"]);
const ALARMS = new Set(["held", "forced"]);
const TONES = { done: "good", accepted: "info", sent: "info", sending: "info", cancelled: "plain" };

const keyOf = (door) => `${door.gateway}/${door.device}`;

export class Doors {
  /** @param {{list: HTMLElement, summary: HTMLElement, pageToken: string}} parts */
  constructor({ list, summary, pageToken }) {
    this.list = list;
    this.summary = summary;
    this.pageToken = pageToken;
    this.cards = new Map();
    this.isLinked = false;
  }

  /** The whole board, in the hub's order. */
  replace(doors) {
    const keys = new Set(doors.map(keyOf));
    for (const [key, card] of this.cards) {
      if (!keys.has(key)) {
        card.element.remove();
        this.cards.delete(key);
      }
    }
    doors.forEach((door, index) => {
      this.#update(door);
      const { element } = this.cards.get(keyOf(door));
      if (this.list.children[index] !== element) this.list.insertBefore(element, this.list.children[index] ?? null);
    });
    this.#summarise();
  }

  /** Doors that changed. */
  change(doors) {
    doors.forEach((door) => this.#update(door));
    this.#summarise();
  }

  /** Whether the hub can be reached; without it no door can be released. */
  setLinked(isLinked) {
    this.isLinked = isLinked;
    this.cards.forEach((card) => card.refresh());
  }

  /** The hub tells a command's state. */
  command(told) {
    this.cards.get(`${told.gateway}/${told.door}`)?.told(told);
  }

  #update(door) {
    const known = this.cards.get(keyOf(door));
    if (known) {
      known.update(door);
      return;
    }
    const card = new Card(door, this);
    this.cards.set(keyOf(door), card);
    this.list.append(card.element);
  }

  #summarise() {
    const alarms = [...this.cards.values()].filter((card) => ALARMS.has(card.door.state)).length;
    this.summary.textContent = this.cards.size ? t("board.summary", { count: this.cards.size, alarms }) : t("board.none");
    this.summary.dataset.tone = alarms ? "alarm" : "plain";
  }
}

class Card {
  constructor(door, board) {
    this.board = board;
    this.element = document.createElement("li");
    this.element.className = "door";
    this.element.dataset.door = keyOf(door);
    this.badge = part(this.element, "div", "door-badge");
    const names = part(this.element, "div", "door-names");
    this.name = part(names, "h3", "door-name");
    this.place = part(names, "p", "door-place");
    this.state = part(names, "p", "door-state");
    this.button = part(this.element, "button", "button release");
    this.button.type = "button";
    this.outcome = part(this.element, "p", "outcome");
    this.outcome.setAttribute("role", "status");
    this.button.addEventListener("click", () => this.#press());
    this.button.addEventListener("keydown", (event) => event.key === "Escape" && this.#disarm("cancelled"));
    this.button.addEventListener("blur", () => this.#disarm("cancelled"));
    this.update(door);
  }

  update(door) {
    this.door = door;
    this.element.dataset.state = door.state;
    this.name.textContent = door.name;
    this.place.textContent = door.place === door.name ? "" : door.place;
    this.badge.replaceChildren(glyph(door.state));
    this.state.replaceChildren();
    part(this.state, "strong", "door-word").textContent = t(`door.${door.state}`);
    if (door.since) part(this.state, "span", "door-since").textContent = t("door.since", { time: moment(door.since) });
    this.refresh();
  }

  /** Whether the door can be released now, and why not. */
  refresh() {
    const reason = this.#hindrance();
    if (reason && this.armedAt) this.#disarm("");
    this.button.disabled = Boolean(reason) || this.isSending === true;
    if (reason) this.#say(reason, "plain", "hindrance");
    else if (this.outcome.dataset.what === "hindrance") this.#say("", "plain", "");
    this.#label();
  }

  /** A command's state, from the hub; a state that comes late never takes back an end. */
  told({ corr, state, reason, code }) {
    if (corr !== this.command?.corr) {
      if (this.command && !ENDED.has(this.command.state)) return;
    } else if (RANK[state] <= RANK[this.command.state]) {
      return;
    }
    this.command = { corr, state };
    const why = knows(`reason.${code}`) ? t(`reason.${code}`) : reason; // one of a newer gateway, as it came
    const words = state === "failed" && why ? t("release.failed_because", { reason: why }) : t(`release.${state}`);
    this.#say(words, TONES[state] ?? "alarm", state);
  }

  #hindrance() {
    if (!this.board.isLinked) return t("release.no_link");
    return this.door.reachable ? "" : t("release.no_gateway");
  }

  #label() {
    const door = this.door.name;
    this.button.textContent = this.armedAt ? t("release.confirm_short") : t("release.button");
    this.button.setAttribute("aria-label", t(this.armedAt ? "release.confirm" : "release.label", { door }));
    this.button.dataset.armed = this.armedAt ? "true" : "false";
  }

  #press() {
    if (!this.armedAt) {
      this.armedAt = performance.now();
      this.timer = setTimeout(() => this.#disarm("cancelled"), ARMED_MS);
      this.#say(t("release.confirm", { door: this.door.name }), "warn", "armed");
      this.#label();
    } else if (performance.now() - this.armedAt >= DELIBERATE_MS) {
      this.#disarm("");
      this.#release();
    }
  }

  #disarm(why) {
    if (!this.armedAt) return;
    clearTimeout(this.timer);
    this.armedAt = 0;
    this.#say(why ? t(`release.${why}`) : "", "plain", why);
    this.#label();
  }

  async #release() {
    this.#say(t("release.sending"), "info", "sending");
    this.isSending = true;
    this.refresh();
    try {
      const { gateway, device } = this.door;
      const answer = await ask(`/api/v1/doors/${gateway}/${device}/release`, {
        method: "POST",
        headers: { "X-Gatehouse-Token": this.board.pageToken },
      });
      if (answer.ok) {
        const { corr } = await answer.json();
        if (this.command?.corr !== corr) {
          this.command = null; // ours comes before another guard's that is still on its way
          this.told({ corr, state: "sent", reason: "" });
        }
        this.#follow(corr, performance.now());
      } else {
        this.#say(t("release.refused", { status: answer.status }), "alarm", "refused");
      }
    } catch {
      this.#say(t("release.unsent"), "alarm", "unsent");
    } finally {
      this.isSending = false;
      this.refresh();
      if (!this.button.disabled && document.activeElement === document.body) this.button.focus();
    }
  }

  // The hub tells each state at once; asking besides covers a link that is lost in this very moment.
  #follow(corr, since) {
    setTimeout(async () => {
      if (this.command?.corr !== corr || ENDED.has(this.command.state)) return;
      if (performance.now() - since > GIVE_UP_MS) {
        this.told({ corr, state: "no_answer", reason: "" });
        return;
      }
      try {
        const answer = await ask(`/api/v1/commands/${corr}`);
        if (answer.ok) this.told(await answer.json());
      } catch {
        // The banner says that the link is lost; the next try follows.
      }
      this.#follow(corr, since);
    }, FOLLOW_MS);
  }

  #say(text, tone, what) {
    this.outcome.textContent = text;
    this.outcome.dataset.tone = tone;
    this.outcome.dataset.what = what;
  }
}

function part(parent, name, className) {
  const element = document.createElement(name);
  element.className = className;
  parent.append(element);
  return element;
}
