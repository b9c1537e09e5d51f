// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from "vite";

// `npx vite` serves the sources and hands the API to a gateway: FLEET_GATEWAY=https://localhost:8443 npx vite
const gateway = process.env.FLEET_GATEWAY ?? "https://localhost:8443";

export default defineConfig({
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    // light-dark(), :has(), popover: browsers from the middle of 2024 on
    target: ["chrome125", "firefox127", "safari17.5"],
    // the policy of the gateway allows files alone, no data: URLs and no inline script
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    reportCompressedSize: false,
  },
  server: {
    proxy: Object.fromEntries(
      ["/api", "/tuf", "/ca.pem", "/readyz"].map((path) => [path, { target: gateway, secure: false }]),
    ),
  },
});
