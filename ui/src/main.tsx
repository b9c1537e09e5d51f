// SPDX-License-Identifier: Apache-2.0
import { render } from "preact";
import { App } from "./app";
import { startRouter } from "./lib/router";
import { loadSession } from "./lib/session";
import { applyTheme, theme } from "./lib/theme";
import "./style.css";

applyTheme(theme.get());
startRouter();
void loadSession();
const root = document.getElementById("app");
if (root) render(<App />, root);
