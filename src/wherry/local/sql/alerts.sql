-- name: add
insert into alerts (made_ms, address, body, due_ms) values (:now_ms, :address, :body, :now_ms);

-- name: all
select * from alerts order by due_ms, id;

-- name: first_due
select min(due_ms) from alerts;

-- name: delete
delete from alerts where id = :id;

-- name: put_off
update alerts set tries = tries + 1, due_ms = :due_ms, error = :error where id = :id;
