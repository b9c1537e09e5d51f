// SPDX-License-Identifier: Apache-2.0
// Numbers, sizes, spans and times as people read them. Pure: the present is a parameter.

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function formatNumber(n: number): string {
  return grouped.format(n);
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${formatNumber(n)} ${n === 1 ? one : many}`;
}

export function formatBytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (n >= 999.5 && unit < units.length - 1) {
    n /= 1000;
    unit++;
  }
  return `${unit === 0 || n >= 99.95 ? Math.round(n) : n.toFixed(1)} ${units[unit]}`;
}

/** "0 %", "2.1 %", "<0.1 %": never 0 for what is something, never 100 for what is not all. */
export function formatShare(part: number, whole: number): string {
  if (whole <= 0 || part <= 0) return "0 %";
  if (part >= whole) return "100 %";
  const percent = (part / whole) * 100;
  if (percent < 0.1) return "<0.1 %";
  if (percent > 99.9) return ">99.9 %";
  return `${percent < 10 ? percent.toFixed(1).replace(/\.0$/, "") : Math.min(99, Math.round(percent))} %`;
}

/** Two units at most: "45 s", "3 min 20 s", "7 h 50 min", "12 d". */
export function formatSpan(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return s % 60 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${s / 60} min`;
  const minutes = Math.round(s / 60);
  if (minutes < 24 * 60) {
    return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
  }
  const hours = Math.round(s / 3600);
  if (hours < 7 * 24 && hours % 24) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  return `${Math.round(hours / 24)} d`;
}

/** Of steps, most of which are short: "0.3 s", "12 s", "1 min 5 s". */
export function formatMilliseconds(ms: number): string {
  if (ms < 9_950) return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
  return formatSpan(ms / 1000);
}

/** "now", "12 s ago", "in 3 min", "2 h ago", "5 d ago": one unit, so that it is short and does not jump. */
export function formatRelative(time: number, now: number): string {
  const seconds = Math.round((time - now) / 1000);
  const n = Math.abs(seconds);
  if (n < 3) return "now";
  const text =
    n < 60
      ? `${n} s`
      : n < 3600
        ? `${Math.round(n / 60)} min`
        : n < 36 * 3600
          ? `${Math.round(n / 3600)} h`
          : `${Math.round(n / 86400)} d`;
  return seconds < 0 ? `${text} ago` : `in ${text}`;
}

const two = (n: number) => String(n).padStart(2, "0");

/** Local time without doubt about day and month: "2026-11-24 12:34:56". */
export function formatTime(time: number, seconds = true): string {
  const d = new Date(time);
  const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
  return `${day} ${two(d.getHours())}:${two(d.getMinutes())}${seconds ? `:${two(d.getSeconds())}` : ""}`;
}

/** The time of day when it is today, and the day as well when it is not. */
export function formatClock(time: number, now: number): string {
  const text = formatTime(time, false);
  return text.slice(0, 10) === formatTime(now, false).slice(0, 10) ? text.slice(11) : text;
}

export function shortId(id: string): string {
  return id.length > 12 ? id.slice(0, 8) : id;
}
