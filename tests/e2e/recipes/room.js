/** As much of livekit-client's Room as the recipes use; the test says when it connects. */

class Room {
  #handlers = { connected: new Set(), disconnected: new Set() };
  state = "disconnected";
  localParticipant = { sid: "PA_9" };

  on(event, handler) {
    this.#handlers[event].add(handler);
    return this;
  }

  off(event, handler) {
    this.#handlers[event].delete(handler);
    return this;
  }

  get listeners() {
    return this.#handlers.connected.size + this.#handlers.disconnected.size;
  }

  become(state) {
    this.state = state;
    for (const handler of [...this.#handlers[state]]) handler();
  }
}

window.room = new Room();
