import { mount, unmount } from "svelte";
import Attendance from "./recipe.svelte";

let component;
window.mount = (session, token) => {
  const props = { room: window.room, session, token };
  component = mount(Attendance, { target: document.getElementById("app"), props });
};
window.unmount = () => unmount(component);
