// Leases that end within days or are in grace: who deals with one marks it, and it stays in its place, marked.

import { ask } from "./link.js";
import { day, knows, moment, t } from "./words.js";

const READ_EVERY_MS = 60000;
const CHANGED = new Set([404, 409]); // it was prolonged, or somebody else marked it at the same moment: read anew

export class Leases {
  /** @param {{list: HTMLElement, summary: HTMLElement, pageToken: string}} parts */
  constructor({ list, summary, pageToken }) {
    this.list = list;
    this.summary = summary;
    this.pageToken = pageToken;
    this.cards = new Map();
    this.isLinked = false;
    setInterval(() => this.isLinked && this.read(), READ_EVERY_MS);
  }

  /** Read the list anew. That it cannot be read is told here and stops nothing else on the page. */
  async read() {
    try {
      const answer = await ask("/api/v1/access/lease-notices");
      if (!answer.ok) throw new Error(`lease notices: ${answer.status}`);
      this.replace(await answer.json());
    } catch {
      this.summary.textContent = t("leases.unread");
    }
  }

  /** The whole list, in the hub's order. */
  replace({ items, more }) {
    const shown = new Set(items.map((lease) => lease.residency));
    for (const [residency, card] of this.cards) {
      if (!shown.has(residency)) {
        card.element.remove();
        this.cards.delete(residency);
      }
    }
    items.forEach((lease, index) => {
      const card = this.cards.get(lease.residency) ?? new Card(this);
      this.cards.set(lease.residency, card);
      card.update(lease);
      if (this.list.children[index] !== card.element) this.list.insertBefore(card.element, this.list.children[index] ?? null);
    });
    this.#summarise(items, more);
  }

  /** Whether the hub can be reached; without it nothing can be marked. */
  setLinked(isLinked) {
    this.isLinked = isLinked;
    this.cards.forEach((card) => card.refresh());
  }

  #summarise(items, more) {
    const open = items.filter((lease) => !lease.dealt_with_at).length;
    const key = more ? "leases.summary_more" : "leases.summary";
    this.summary.textContent = items.length ? t(key, { count: items.length, open }) : t("leases.none");
    this.list.hidden = items.length === 0;
  }
}

class Card {
  constructor(board) {
    this.board = board;
    this.element = document.createElement("li");
    this.element.className = "lease";
    const texts = part(this.element, "div", "lease-texts");
    this.who = part(texts, "h3", "lease-who");
    this.ends = part(texts, "p", "lease-ends");
    this.button = part(this.element, "button", "button");
    this.button.type = "button";
    this.button.textContent = t("lease.mark");
    this.button.addEventListener("click", () => this.#mark());
    this.outcome = part(this.element, "p", "outcome");
    this.outcome.setAttribute("role", "status");
  }

  update(lease) {
    const isAnother = this.lease?.until !== lease.until || this.lease.dealt_with_at !== lease.dealt_with_at;
    this.lease = lease;
    this.element.dataset.lease = lease.residency;
    this.element.dataset.state = lease.dealt_with_at ? "done" : lease.in_grace ? "grace" : "ending";
    const role = knows(`lease.role.${lease.role}`) ? t(`lease.role.${lease.role}`) : lease.role;
    this.who.textContent = `${lease.name} · ${lease.where} · ${role}`;
    const values = { until: day(lease.until), access: day(lease.ends_at), days: lease.days_left };
    this.ends.textContent = t(lease.in_grace ? "lease.in_grace" : "lease.ending", values);
    this.button.setAttribute("aria-label", t("lease.mark_label", { name: lease.name, where: lease.where }));
    if (isAnother) this.#say(this.#standing(), "plain");
    this.refresh();
  }

  /** Whether it can be marked now. */
  refresh() {
    this.button.hidden = Boolean(this.lease.dealt_with_at);
    this.button.disabled = !this.board.isLinked || this.isSending === true;
  }

  #standing() {
    const { dealt_with_at: at, dealt_with_by: by } = this.lease;
    return at ? t("lease.dealt_with", { name: by ?? "", time: moment(at) }) : "";
  }

  async #mark() {
    this.isSending = true;
    this.refresh();
    try {
      const answer = await ask(`/api/v1/access/lease-notices/${this.lease.residency}/dealt-with`, {
        method: "POST",
        headers: { "X-Gatehouse-Token": this.board.pageToken, "Content-Type": "application/json" },
        body: JSON.stringify({ until: this.lease.until }),
      });
      if (!answer.ok && !CHANGED.has(answer.status)) this.#say(t("lease.refused", { status: answer.status }), "alarm");
      else await this.board.read();
    } catch {
      this.#say(t("lease.unsent"), "alarm");
    } finally {
      this.isSending = false;
      this.refresh();
    }
  }

  #say(text, tone) {
    this.outcome.textContent = text;
    this.outcome.dataset.tone = tone;
  }
}

function part(parent, name, className) {
  const element = document.createElement(name);
  element.className = className;
  parent.append(element);
  return element;
}
