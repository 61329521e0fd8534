import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Attendance } from "./recipe.jsx";

let root;
window.mount = (session, token) => {
  root = createRoot(document.getElementById("app"));
  root.render(
    <StrictMode>
      <Attendance room={window.room} session={session} token={token} />
    </StrictMode>,
  );
};
window.unmount = () => root.unmount();
