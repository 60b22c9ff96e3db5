module example.com/app-go

go 1.19

require (
	github.com/gomodule/redigo v1.8.3
	go.mongodb.org/mongo-driver v1.8.4
)
