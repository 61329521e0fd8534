import { createApp } from "vue";
import Attendance from "./recipe.vue";

let app;
window.mount = (session, token) => {
  app = createApp(Attendance, { room: window.room, session, token });
  app.mount("#app");
};
window.unmount = () => app.unmount();
