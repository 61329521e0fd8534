/** Types of `<attendance-status>`; what each of them means: docs/frontend.md. */

export type AttendanceState =
  | "not_joined"
  | "present"
  | "left"
  | "completed"
  | "absent"
  | "excused";

/** The fields of the API's answer that the element uses; the answer has more (`/openapi.json`). */
export interface Attendance {
  readonly session_id: string;
  readonly user_id: string;
  readonly attendance_status: AttendanceState;
  readonly is_currently_in_meeting: boolean;
  readonly join_count: number;
  readonly duration_seconds: number;
  readonly [field: string]: unknown;
}

export interface Join {
  participantSid?: string;
  name?: string;
  sessionType?: string;
  academyId?: string;
}

export interface AttendanceEvents {
  "attendance-updated": CustomEvent<{ status: Attendance }>;
  "attendance-changed": CustomEvent<{ status: Attendance; previous: Attendance | null }>;
  "attendance-joined": CustomEvent<{ status: Attendance }>;
  "attendance-left": CustomEvent<{ status: Attendance }>;
  "attendance-token-needed": CustomEvent<{ session: string }>;
  "attendance-restored": CustomEvent<{ session: string }>;
}

export class AttendanceStatus extends HTMLElement {
  /** Rollcall's last answer. */
  get status(): Attendance | null;
  get session(): string | null;
  set session(session: string | null);
  get token(): string | null;
  set token(token: string | null);
  /** LiveKit connected. Resolves to `null` when the join will be sent later. */
  joined(join?: Join): Promise<Attendance | null>;
  /** LiveKit disconnected and the page stays. */
  left(): Promise<Attendance | null>;
}

declare global {
  interface HTMLElementTagNameMap {
    "attendance-status": AttendanceStatus;
  }
  interface HTMLElementEventMap extends AttendanceEvents {}
  interface DocumentEventMap extends AttendanceEvents {}
  interface WindowEventMap extends AttendanceEvents {}
}
