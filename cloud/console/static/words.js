// The page's words: the dictionary of its language, and how moments and durations are written in it.

export const language = document.documentElement.lang;

const words = await (await fetch(`/static/${language}.json`)).json();

/** The text of a key with its placeholders filled; a key that is missing shows itself. */
export function t(key, values = {}) {
  const text = words[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Whether the dictionary has a key. */
export const knows = (key) => key in words;

const clockFormat = new Intl.DateTimeFormat(language, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const minuteFormat = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const dayFormat = new Intl.DateTimeFormat(language, { month: "numeric", day: "numeric" });

/** A moment in local time: the clock, with the day before it unless it is today. */
export function moment(iso) {
  const date = new Date(iso);
  const today = date.toDateString() === new Date().toDateString();
  return today ? clockFormat.format(date) : `${dayFormat.format(date)} ${clockFormat.format(date)}`;
}

/** A day that may be far, with the minute: a lease that ends at midnight has the day before as its last. */
export function day(iso) {
  const date = new Date(iso);
  return `${dayFormat.format(date)} ${minuteFormat.format(date)}`;
}

/** A duration in words, from seconds. */
export function duration(seconds) {
  return Math.abs(seconds) < 120
    ? t("seconds", { seconds: Math.round(seconds) })
    : t("minutes", { minutes: Math.round(seconds / 60) });
}
