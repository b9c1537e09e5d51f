// SPDX-License-Identifier: Apache-2.0
import { render } from "preact";
import { App } from "./app";
import { startRouter } from "./lib/router";
import { loadSession } from "./lib/session";
import { applyTheme, theme } from "./lib/theme";
// in this order: what is narrower, or of one page, comes after what it changes
import "./style/base.css";
import "./style/frame.css";
import "./style/controls.css";
import "./style/tables.css";
import "./style/steps.css";
import "./style/dialogs.css";
import "./style/narrow.css";
import "./style/rollouts.css";
import "./style/pages.css";

applyTheme(theme.get());
startRouter();
void loadSession();
const root = document.getElementById("app");
if (root) render(<App />, root);
