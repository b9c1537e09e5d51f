// SPDX-License-Identifier: Apache-2.0
//
// A cable between a browser and the gateway, which can be cut: bytes go through, both ways, or nowhere.

import * as net from "node:net";

export class Cable {
  #sockets = new Set();
  #whole = true;

  static async lay(port) {
    const cable = new Cable();
    cable.server = net.createServer((near) => cable.#join(near, port));
    await new Promise((done, failed) => {
      cable.server.once("error", failed);
      cable.server.listen(0, "127.0.0.1", done);
    });
    cable.port = cable.server.address().port;
    return cable;
  }

  #join(near, port) {
    if (!this.#whole) {
      near.destroy();
      return;
    }
    const far = net.connect(port, "127.0.0.1");
    for (const [a, b] of [[near, far], [far, near]]) {
      this.#sockets.add(a);
      a.on("error", () => undefined);
      a.on("close", () => {
        this.#sockets.delete(a);
        b.destroy();
      });
      a.pipe(b);
    }
  }

  cut() {
    this.#whole = false;
    for (const s of this.#sockets) s.destroy();
  }

  mend() {
    this.#whole = true;
  }

  async close() {
    this.cut();
    await new Promise((done) => this.server.close(done));
  }
}
