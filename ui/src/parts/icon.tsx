// SPDX-License-Identifier: Apache-2.0
// Shapes that go with words; never alone, but for buttons, which have a name of their own.

const paths = {
  overview: "M2 3h5v5H2zM9 3h5v3H9zM9 8h5v5H9zM2 10h5v3H2z",
  agents: "M2 3h12v4H2zM2 9h12v4H2zM4 5h1.5M4 11h1.5",
  rollouts: "M2 13V9h3v4zM6.5 13V6h3v7zM11 13V3h3v10z",
  releases: "M8 1.5 14 5v6l-6 3.5L2 11V5zM2 5l6 3.5L14 5M8 8.5v6",
  enrolment: "M8 3v10M3 8h10",
  people: "M8 7.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM3 14c0-3 2-4.5 5-4.5S13 11 13 14",
  audit: "M4 2h8v12H4zM6 5.5h4M6 8h4M6 10.5h2.5",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10ZM11 11l3 3",
  close: "m4 4 8 8M12 4l-8 8",
  chevron: "m4 6 4 4 4-4",
  menu: "M2 4h12M2 8h12M2 12h12",
  copy: "M5.5 5.5h8v8h-8zM3 10.5h-.5v-8h8V3",
  check: "m3 8.5 3.5 3.5L13 4.5",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1.5V3M8 13v1.5M1.5 8H3M13 8h1.5M3.4 3.4l1 1M11.6 11.6l1 1M12.6 3.4l-1 1M4.4 11.6l-1 1",
  moon: "M13 9.5A5.5 5.5 0 0 1 6.5 3 5.5 5.5 0 1 0 13 9.5Z",
  auto: "M8 2a6 6 0 1 0 0 12ZM8 2a6 6 0 0 1 0 12",
  up: "m4 10 4-4 4 4",
  down: "m4 6 4 4 4-4",
  download: "M8 2v8M4.5 7 8 10.5 11.5 7M3 13.5h10",
  pause: "M5 3v10M11 3v10",
  play: "M4.5 3v10l8-5z",
  stop: "M4 4h8v8H4z",
  back: "M6 3 2 7l4 4M2 7h8a4 4 0 0 1 0 8",
  retry: "M13 8a5 5 0 1 1-1.5-3.6M13 1.5v3.2H9.8",
  warning: "M8 2 15 14H1zM8 6.5v3.5M8 11.8v.4",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}

export type Tone = "ok" | "busy" | "warn" | "bad" | "off" | "plain";

/** Each tone has a shape of its own, so that it is told without colour. */
export function Glyph({ tone }: { tone: Tone }) {
  return (
    <svg class={`glyph ${tone}`} width="10" height="10" viewBox="0 0 10 10" aria-hidden="true">
      {tone === "ok" && <circle cx="5" cy="5" r="4" class="fill" />}
      {tone === "off" && <circle cx="5" cy="5" r="3.25" class="line" />}
      {tone === "plain" && <path d="M1 5h8" class="line" />}
      {tone === "busy" && <path d="M5 1a4 4 0 1 0 4 4H5z" class="fill" />}
      {tone === "warn" && <path d="M5 .5 9.8 9.2H.2z" class="fill" />}
      {tone === "bad" && <path d="M1.4 1.4 8.6 8.6M8.6 1.4 1.4 8.6" class="line thick" />}
    </svg>
  );
}

export function Status({ tone, children }: { tone: Tone; children: string }) {
  return (
    <span class={`status ${tone}`}>
      <Glyph tone={tone} />
      {children}
    </span>
  );
}
