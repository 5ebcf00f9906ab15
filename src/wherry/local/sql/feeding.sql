-- name: note
insert or ignore into fed (queue, cause, fed_ms) values (:queue, :cause, :now_ms);
