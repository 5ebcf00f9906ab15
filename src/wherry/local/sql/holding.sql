-- name: held_by
select * from messages where holder = :run_id order by sequence;

-- name: letters_of
select id from messages where letter_of = :run_id order by sequence;
